package tns

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
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

// pieces is a connection whose peer sends piece by piece; after each of them the read deadline is over.
type pieces struct {
	net.Conn
	left [][]byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	if len(p.left[0]) == 0 {
		p.left = p.left[1:]
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, p.left[0])
	p.left[0] = p.left[0][n:]
	return n, nil
}

// A CONNECT that is interrupted anywhere, also between the packets that carry its data, is read on by the same Conn or another.
func TestAConnectIsReadOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := NewConnect(rapid.SliceOfN(rapid.Byte(), 1, 20_000).Draw(t, "data"))
		size := rapid.IntRange(11, 9000).Draw(t, "size of packets")
		stream := want.AppendTo(nil, false)
		if len(want.Data) > inlineLimit { // clients choose how to cut
			stream = AppendData(stream[:connectSize318], 0, want.Data, size, false)
		}
		stream = append(stream, "early"...)
		raw := &pieces{}
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "piece")
			raw.left, stream = append(raw.left, stream[:n:n]), stream[n:]
		}
		c := NewConn(raw)
		for {
			got, err := c.ReadConnect()
			if err == nil {
				if !bytes.Equal(got.Data, want.Data) || got.Offset != want.Offset || got.SDU32 != want.SDU32 {
					t.Fatalf("read %d bytes of data, sent %d", len(got.Data), len(want.Data))
				}
				break
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "taken over") {
				next := NewConn(raw)
				next.TakeOver(0, c.Unread())
				c = next
			}
		}
		if rest, _ := io.ReadAll(raw.all()); string(c.Unread())+string(rest) != "early" {
			t.Fatalf("what follows is %q", string(c.Unread())+string(rest))
		}
	})
}

// all is what has not been read.
func (p *pieces) all() io.Reader { return bytes.NewReader(bytes.Join(p.left, nil)) }

func TestAnInterruptedConnectStaysSmall(t *testing.T) {
	want := NewConnect(bytes.Repeat([]byte("x"), 5000))
	stream := AppendData(want.AppendTo(nil, false)[:connectSize318], 0, want.Data, dataHeaderSize+1, false)
	c := NewConn(&pieces{left: [][]byte{stream[:len(stream)-1], nil}})
	if _, err := c.ReadConnect(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if n := len(c.Unread()); n > 6000 {
		t.Errorf("%d bytes are kept of 5000, which came in %d", n, len(stream))
	}
}
