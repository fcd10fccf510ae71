package nsgr

import "testing"

func BenchmarkDecode(b *testing.B) {
	large, err := sized(Linux64(), 200, 50)
	if err != nil {
		b.Fatal(err)
	}
	for name, message := range map[string][]byte{"sid_4": vector(b, "sid_4"), "200 services 50 handlers": mustEncode(b, large)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				if _, err := Decode(message, Representation{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	m := mustDecode(b, vector(b, "sid_4"))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = m.AppendTo(buf[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

// One byte a payload must not make collecting quadratic.
func BenchmarkCollectSingleBytes(b *testing.B) {
	message := make([]byte, 1<<20)
	copy(message, []byte{0, 0x10, 0, 0})
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		var c Collector
		for i := range message {
			c.Add(message[i : i+1])
			c.Next()
		}
		if c.Pending() != 0 {
			b.Fatal("message not complete")
		}
	}
}
