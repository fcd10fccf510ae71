// Package drivers lets real Oracle drivers do the same work: node-oracledb,
// python-oracledb and go-ora take one list of steps and give one list of results,
// so that one table of cases runs over all of them. Its tests drive the real broker
// and the real test database, with those drivers and with bytes of their own.
package drivers

import "context"

// Kind is the type of a value as a driver binds it.
type Kind string

// The kinds of values.
const (
	KindNumber    Kind = "number"
	KindVarchar   Kind = "varchar"
	KindDate      Kind = "date"
	KindTimestamp Kind = "timestamp"
	KindRaw       Kind = "raw"
	KindCLOB      Kind = "clob"
)

// Value is one bind. Text is the value in the form all drivers share, nil for NULL:
// digits for a number, 2006-01-02T15:04:05.000 for a date or timestamp, upper-case
// hexadecimal digits for a raw.
type Value struct {
	Kind Kind    `json:"kind"`
	Text *string `json:"text"`
	Out  bool    `json:"out,omitempty"` // the value comes from the database
}

// Number, Varchar, Date, Timestamp, Raw and CLOB make values from their texts.
func Number(text string) Value { return Value{Kind: KindNumber, Text: &text} }

// Varchar makes a character value.
func Varchar(text string) Value { return Value{Kind: KindVarchar, Text: &text} }

// Date makes a DATE, which has whole seconds.
func Date(text string) Value { return Value{Kind: KindDate, Text: &text} }

// Timestamp makes a TIMESTAMP; all drivers carry milliseconds.
func Timestamp(text string) Value { return Value{Kind: KindTimestamp, Text: &text} }

// Raw makes a RAW from hexadecimal digits.
func Raw(digits string) Value { return Value{Kind: KindRaw, Text: &digits} }

// CLOB makes a character LOB.
func CLOB(text string) Value { return Value{Kind: KindCLOB, Text: &text} }

// Null makes a NULL of a kind.
func Null(kind Kind) Value { return Value{Kind: kind} }

// Out makes a bind that a PL/SQL block fills.
func Out(kind Kind) Value { return Value{Kind: kind, Out: true} }

// Action is what a step does.
type Action string

// The actions.
const (
	Connect   Action = "connect"   // User, Password, Target
	Close     Action = "close"     //
	Query     Action = "query"     // SQL, Binds → Rows, at most 1,000
	Fetch     Action = "fetch"     // SQL → Count of all rows, Sum of their first column, which holds whole numbers
	Execute   Action = "execute"   // SQL, Binds → Affected
	Many      Action = "many"      // SQL, Rows: array DML → Affected, Counts of each row where the driver tells them
	Call      Action = "call"      // PL/SQL, Binds → Out, one for each out bind
	Commit    Action = "commit"    //
	Rollback  Action = "rollback"  //
	Ping      Action = "ping"      //
	Interrupt Action = "interrupt" // SQL, By, AfterMS: a statement that is cut short; its error is what the driver says then
)

// How Interrupt cuts a statement short.
const (
	ByTimeout = "timeout" // the driver's own time-out for calls
	ByCancel  = "cancel"  // a cancel from beside the call
)

// Step is one thing to do on one connection.
type Step struct {
	Do       Action    `json:"do"`
	On       string    `json:"on"` // name of the connection
	User     string    `json:"user,omitempty"`
	Password string    `json:"password,omitempty"`
	Target   string    `json:"target,omitempty"` // descriptor or Easy Connect text
	SQL      string    `json:"sql,omitempty"`
	Binds    []Value   `json:"binds,omitempty"`
	Rows     [][]Value `json:"rows,omitempty"`
	By       string    `json:"by,omitempty"`
	AfterMS  int       `json:"after_ms,omitempty"`
}

// Result is what a step came to. A step that fails does not end its job.
type Result struct {
	Error    string      `json:"error"` // the driver's own words; empty if all went well
	Rows     [][]*string `json:"rows"`  // nil text is NULL
	Affected int64       `json:"affected"`
	Counts   []int64     `json:"counts"`
	Count    int64       `json:"count"`
	Sum      string      `json:"sum"`
	Out      []*string   `json:"out"`
	TookMS   float64     `json:"took_ms"`
}

// Driver does jobs.
type Driver interface {
	// Name is the driver's name.
	Name() string
	// Run does the steps in order. Each result is handed to each, if that is
	// not nil, as soon as it is there, and all of them are returned. An error
	// means that the job itself could not be done, not that a step failed.
	Run(ctx context.Context, steps []Step, each func(int, Result)) ([]Result, error)
}
