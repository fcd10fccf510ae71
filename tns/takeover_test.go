package tns

import (
	"bytes"
	"net"
	"testing"

	"pgregory.net/rapid"
)

// Wherever one Conn stops to read, another goes on.
func TestTakeOverReadsWhatIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want [][]byte
		for range rapid.IntRange(1, 4).Draw(t, "packets") {
			payload := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "payload")
			want = append(want, payload)
			stream = AppendData(stream, 0, payload, 8192, true)
		}
		ours, theirs := net.Pipe()
		defer ours.Close()
		written := make(chan error, 1)
		go func() {
			_, err := theirs.Write(stream)
			_ = theirs.Close()
			written <- err
		}()
		c := NewConn(ours)
		c.SetVersion(319)
		for i, payload := range want {
			if rapid.Bool().Draw(t, "taken over") {
				unread := c.Unread()
				if !bytes.Equal(unread, c.Unread()) {
					t.Fatal("it forgot what it told")
				}
				next := NewConn(ours)
				next.TakeOver(c.Version(), unread)
				c = next
			}
			p, err := c.ReadPacket()
			var data Data
			if err == nil {
				err = data.Decode(p)
			}
			if err != nil || !bytes.Equal(data.Payload, payload) {
				t.Fatalf("packet %d: %v, %d bytes of %d", i, err, len(data.Payload), len(payload))
			}
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
	})
	c := NewConn(nil)
	if c.TakeOver(0, nil); c.Version() != 0 || c.versionSet {
		t.Error("a version was set that nobody knows")
	}
}
