package descriptor

import "fmt"

// SyntaxError tells where a text stopped making sense, what is wrong there, and what to do about it.
type SyntaxError struct {
	Line, Column    int // from 1; columns count characters
	Problem, Remedy string
}

// Error gives position, problem and remedy in one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s: %s", e.Line, e.Column, e.Problem, e.Remedy)
}
