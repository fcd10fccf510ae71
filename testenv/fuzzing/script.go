// Package fuzzing is what fuzz targets share: an input read as a script of choices, a dictionary and a
// grammar of what goes over the wire, connections in memory that behave and misbehave as TCP's do, and
// bounds on what an input may cost.
//
// The fuzzer of the standard library knows no dictionary, and changes bytes one at a time. A target that
// wants more than that takes its input as a [Script]: each byte is a choice among words, packets or steps,
// so that a change of one byte changes one thing that has a meaning, and any input is a valid script.
package fuzzing

// Script reads a fuzz input as choices. One that is over chooses the first each time.
type Script struct{ rest []byte }

// Read makes a script of an input, which it does not change.
func Read(input []byte) *Script { return &Script{input} }

// More tells whether there are choices left.
func (s *Script) More() bool { return len(s.rest) > 0 }

// Byte is the next byte, 0 at the end.
func (s *Script) Byte() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

// Below chooses one of 0 to n-1; n is at most 65,536.
func (s *Script) Below(n int) int {
	if n <= 1 {
		return 0
	}
	v := int(s.Byte())
	if n > 256 {
		v = v<<8 | int(s.Byte())
	}
	return v % n
}

// Bool chooses between false and true.
func (s *Script) Bool() bool { return s.Byte()&1 == 1 }

// Bytes takes up to most bytes as they are; how many is chosen first.
func (s *Script) Bytes(most int) []byte {
	n := min(s.Below(most+1), len(s.rest))
	b := s.rest[:n:n]
	s.rest = s.rest[n:]
	return b
}

// Pick chooses one of some values.
func Pick[T any](s *Script, of ...T) T { return of[s.Below(len(of))] }
