package nsgr

import (
	"encoding/binary"
	"testing"

	"servicebroker/testenv/fuzzing"
)

// FuzzCost reads long messages made of few pieces, and damaged ones made of real ones: reading them takes
// memory and time in proportion, whatever they claim.
func FuzzCost(f *testing.F) {
	real := [][]byte{vector(f, "sid_4"), vector(f, "constructed-32le"), vector(f, "constructed-64be")}
	f.Add([]byte{0, 0, 3, 4, 0, 0, 0, 1}, uint16(100), uint16(20), uint8(0))
	f.Add([]byte{1, 3, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0}, uint16(900), uint16(9), uint8(1))
	f.Fuzz(func(t *testing.T, script []byte, at, times uint16, which uint8) {
		m := append([]byte(nil), real[int(which)%len(real)]...)
		s := fuzzing.Read(script)
		unit := fuzzing.Repeated(s, 1<<12)
		cut := int(at) % len(m)
		message := append([]byte(nil), m[:cut]...)
		for range int(times) % 64 {
			message = append(message, unit...)
		}
		message = append(message, m[cut:]...)
		if s.Bool() && len(message) >= 4 { // else its length is a lie
			binary.BigEndian.PutUint32(message, uint32(len(message)))
		}
		fuzzing.Bounded(t, len(message), func() {
			if m, err := Decode(message, linux64); err == nil {
				_, _ = m.AppendTo(nil)
				_ = m.Summary()
			}
			var c Collector
			for rest := message; len(rest) > 0; {
				n := min(997, len(rest))
				c.Add(rest[:n])
				for _, ok := c.Next(); ok; _, ok = c.Next() {
				}
				rest = rest[n:]
			}
		})
	})
}
