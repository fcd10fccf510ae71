package tns

import (
	"bytes"
	"testing"
)

// typical is what most drivers send: a descriptor of some 200 bytes, inline.
func typical() []byte {
	return encode(NewConnect([]byte("(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=15210))(CONNECT_DATA=(SERVICE_NAME=sales.example.com)" +
		"(CID=(PROGRAM=app)(HOST=client1)(USER=app))(CONNECTION_ID=KE2ZAAAAAAAAAAAAAAAAAA==)))")))
}

// A connection's first packet, its Conn included: what each connect costs.
func BenchmarkReadConnect(b *testing.B) {
	for name, request := range map[string][]byte{"inline": typical(), "following": encode(NewConnect(bytes.Repeat([]byte("d"), 600)))} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(request)))
			in := bytes.NewReader(nil)
			w := &wire{in: in}
			for b.Loop() {
				in.Reset(request)
				if _, err := NewConn(w).ReadConnect(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeConnect(b *testing.B) {
	request := typical()
	p := Packet{Type: TypeConnect, Body: request[headerSize:]}
	var c Connect
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadPacket(b *testing.B) {
	one := Data{Payload: make([]byte, 8000)}.AppendTo(nil, true)
	c := NewConn(&wire{in: &endless{one: one}})
	c.SetVersion(VersionHighest)
	b.ReportAllocs()
	b.SetBytes(int64(len(one)))
	for b.Loop() {
		if _, err := c.ReadPacket(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendTo(b *testing.B) {
	for name, m := range appended() {
		b.Run(name, func(b *testing.B) {
			dst := make([]byte, 0, 32<<10)
			b.ReportAllocs()
			for b.Loop() {
				if len(m.AppendTo(dst, false)) == 0 {
					b.Fatal("nothing appended")
				}
			}
		})
	}
}

func appended() map[string]Message {
	return map[string]Message{
		"connect":       NewConnect(make([]byte, 200)),
		"connect, long": NewConnect(make([]byte, 20000)),
		"accept":        &Accept{Version: 319, SDU: 8192, TDU: 8192},
		"refuse":        NewRefuse(CodeUnknownService, 0),
		"redirect":      &Redirect{Address: redirectAddress, ConnectData: redirectData},
		"data":          &Data{Payload: make([]byte, 8000)},
		"marker":        &Marker{Kind: 1, Value: MarkerBreak},
	}
}

// The figures that matter hold in the ordinary test run too.
func TestAllocations(t *testing.T) {
	dst := make([]byte, 0, 32<<10)
	for name, m := range appended() {
		if n := testing.AllocsPerRun(100, func() { m.AppendTo(dst, false) }); n != 0 {
			t.Errorf("%s: %v allocations to append", name, n)
		}
	}
	request := typical()
	in := bytes.NewReader(nil)
	c := NewConn(&wire{in: in})
	if n := testing.AllocsPerRun(100, func() {
		in.Reset(request)
		if _, err := c.ReadConnect(); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("%v allocations to read a CONNECT", n)
	}
	w := &wire{}
	c = NewConn(w)
	m := appended()["refuse"]
	if n := testing.AllocsPerRun(100, func() {
		w.out.Reset()
		if err := c.Send(m); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations to send", n)
	}
}
