package sqlengine

import "fmt"

// Error is a failure as Oracle numbers it.
type Error struct {
	// Code is the number after "ORA-".
	Code int
	// Text is the message without its "ORA-nnnnn: ". It may go on with further "ORA-nnnnn: …" lines.
	Text string
	// Position is the byte offset in the statement the error is about, 0 if unknown.
	Position int
}

// Error returns the whole message, for instance "ORA-00942: table or view does not exist".
func (e *Error) Error() string { return fmt.Sprintf("ORA-%05d: %s", e.Code, e.Text) }
