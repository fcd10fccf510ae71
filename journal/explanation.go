package journal

import "time"

// Explanation tells of one connect what was asked, what was weighed and what came of it.
type Explanation struct {
	Ref          string    `json:"ref"` // eight characters, as in refusals on the wire
	Time         time.Time `json:"time"`
	Client       string    `json:"client"` // address and port
	Program      string    `json:"program,omitempty"`
	Machine      string    `json:"machine,omitempty"`
	User         string    `json:"user,omitempty"`
	ConnectionID string    `json:"connection_id,omitempty"`
	Query        Query     `json:"query"`
	Version      uint64    `json:"table_version"`   // of the snapshot that decided
	Route        string    `json:"route,omitempty"` // where it goes that the table has no say in: "SOURCE_ROUTE: db1:1521, then db2:1521"; or whose table: "from peer b2, since here: …"

	Rule       string      `json:"rule,omitempty"`   // that decided, as written
	Logged     []string    `json:"logged,omitempty"` // rules that matched and only wanted to be told of, as written
	Policy     string      `json:"policy,omitempty"`
	Candidates []Candidate `json:"candidates"`        // in the order to try them, those that were passed over last
	Omitted    int         `json:"omitted,omitempty"` // candidates beyond what is kept
	Attempts   []Attempt   `json:"attempts,omitempty"`

	Outcome Outcome       `json:"outcome"`
	Chosen  string        `json:"chosen,omitempty"` // key of the handler, "sales1@db1/DEDICATED"
	Code    int           `json:"code"`             // ORA number of a refusal, else 0
	Text    string        `json:"text"`             // for people: why it came out so
	Held    time.Duration `json:"held_ns,omitempty"`
	Took    time.Duration `json:"took_ns,omitempty"`
}

// Outcome is what becomes of a connect.
type Outcome string

// The outcomes.
const (
	Relay    Outcome = "relay"
	Redirect Outcome = "redirect"
	Hold     Outcome = "hold" // it would wait; what came of one that did is another outcome with Held above 0
	Refuse   Outcome = "refuse"
	Drop     Outcome = "drop" // closed without a word, by rule
	Gone     Outcome = "gone" // the client left before its answer
)

// Query is what a client asked for.
type Query struct {
	Service       string `json:"service,omitempty"`
	SID           string `json:"sid,omitempty"`
	Instance      string `json:"instance,omitempty"`
	Server        string `json:"server,omitempty"`
	ColocationTag string `json:"colocation_tag,omitempty"`
	Descriptor    string `json:"descriptor,omitempty"` // without secrets, shortened
}

// Candidate is one handler that was weighed.
type Candidate struct {
	Key        string  `json:"key"` // "sales1@db1/DEDICATED"
	Score      float64 `json:"score"`
	Inputs     Inputs  `json:"inputs"`
	PassedOver string  `json:"passed_over,omitempty"` // why it was not to be tried at all, or not before others
}

// Inputs are the figures that a score was made of.
type Inputs struct {
	Status      string  `json:"status"`
	Tier        int     `json:"tier"`
	Zone        string  `json:"zone,omitempty"`
	Reported    float64 `json:"reported"`                // as last reported, in the unit of Measure
	Measure     string  `json:"measure,omitempty"`       // sessions, goodness, handler, node; "" where nothing was reported
	ReportAgeMS int64   `json:"report_age_ms,omitempty"` // how old that is
	Aged        float64 `json:"aged,omitempty"`          // what is thought to be left of Reported
	Own         float64 `json:"own"`                     // this broker's connects counted on top, in the same unit
	Capacity    float64 `json:"capacity"`
	TauMS       int64   `json:"tau_ms,omitempty"` // mean length of a session
	Brokers     int     `json:"brokers,omitempty"`
	Weight      uint32  `json:"weight"`               // per cent
	SlowStart   float64 `json:"slow_start,omitempty"` // part of its capacity that a new instance may use; 0 or 1: all
}

// Attempt is one candidate that was dialled.
type Attempt struct {
	Key    string        `json:"key"`
	Took   time.Duration `json:"took_ns"`
	Error  string        `json:"error,omitempty"` // "" where it accepted
	Hedged bool          `json:"hedged,omitempty"`
}
