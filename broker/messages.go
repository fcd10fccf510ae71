package broker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Severity of a Message.
type Severity string

// The severities: an error keeps the broker from starting with the file.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityNotice  Severity = "notice"
)

// Message is something to say about a configuration file, with its place.
type Message struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"` // what is wrong, and what to do
}

// String is "FILE:LINE:COLUMN: severity: text".
func (m Message) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", m.File, m.Line, m.Column, m.Severity, m.Text)
}

// Messages are all that was found, in the order of the file.
type Messages []Message

// Err returns the errors among the messages as one error, nil if there are none.
func (all Messages) Err() error {
	var errs []error
	for _, m := range all {
		if m.Severity == SeverityError {
			errs = append(errs, errors.New(m.String()))
		}
	}
	return errors.Join(errs...)
}

// sort puts the messages in the order of the files, and within one of its lines.
func (all Messages) sort(files []string) {
	slices.SortStableFunc(all, func(a, b Message) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
