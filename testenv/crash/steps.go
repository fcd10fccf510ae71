package crash

import (
	"fmt"
	"strings"
)

// Begin says that a step has begun. Steps count from 1.
func (w *Writer) Begin(step int) { w.Say("begin %d", step) }

// Done says that a step has come to its end: what it wrote is there from now on.
func (w *Writer) Done(step int) { w.Say("done %d", step) }

// HowFar reads what a writer has said: the last step that was done, and the last that had begun; 0 is none.
func HowFar(said string) (done, begun int) {
	for line := range strings.Lines(said) {
		_, _ = fmt.Sscanf(line, "begin %d", &begun)
		_, _ = fmt.Sscanf(line, "done %d", &done)
	}
	return done, begun
}
