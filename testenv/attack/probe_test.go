package attack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"servicebroker/broker"
	"servicebroker/tns"
)

// probe is one thing that a stranger does, and what is to come of it.
type probe struct {
	name string
	at   int // which door
	send []byte
	// then is what goes on after send; nil: the stranger says that it has no more to say.
	then func(net.Conn)
	// want is the code of a REFUSE, or one of the numbers below.
	want tns.Code
	// class is which count of rejected_input_total goes up, by one; "": none does.
	class string
}

// Answers that are no refusal. Refusals have positive codes.
const (
	wantClose  tns.Code = -1 // without a word
	wantAccept tns.Code = -2
	wantAlert  tns.Code = -3 // of TLS
	wantAny    tns.Code = -4 // a refusal of any code, or none
)

// tail ends a dialogue in another way than a half-close.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); c.Close() }

func stay(net.Conn) {}

func halfClose(c net.Conn) {
	if t, ok := c.(interface{ CloseWrite() error }); ok {
		_ = t.CloseWrite()
	}
}

// oneByOne has send come a byte at a time.
func oneByOne(rest []byte) func(net.Conn) {
	return func(c net.Conn) {
		for i := range rest {
			if _, err := c.Write(rest[i : i+1]); err != nil {
				return
			}
		}
		halfClose(c)
	}
}

// run does it, and returns all that the broker said until it closed.
func (p *probe) run(w *world) (said []byte, err error) {
	c := w.dial(p.at)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(answerLimit))
	if _, err := c.Write(p.send); err != nil && !gone(err) {
		return nil, err
	}
	first := make([]byte, 1)
	if p.then == nil {
		p.then = halfClose
		if p.want == wantAccept { // who says that he has no more to say, before he is answered, may be one who has gone
			n, _ := c.Read(first)
			said = first[:n]
		}
	}
	p.then(c)
	rest, err := io.ReadAll(io.LimitReader(c, 1<<20))
	said = append(said, rest...)
	if gone(err) {
		err = nil
	}
	return said, err
}

// gone tells whether an error is the other side's end.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// judge tells what is wrong with an answer.
func (p *probe) judge(said []byte) error {
	switch p.want {
	case wantClose:
		if len(said) > 0 {
			return fmt.Errorf("answered with %.200q, and should be closed", said)
		}
		return nil
	case wantAlert:
		if len(said) < 5 || said[0] != 0x15 {
			return fmt.Errorf("answered with %.200q, and should be an alert", said)
		}
		return nil
	}
	if len(said) == 0 && p.want == wantAny {
		return nil
	}
	reply, err := tns.NewConn(&replayed{Reader: bytes.NewReader(said)}).ReadReply()
	if err != nil {
		return fmt.Errorf("answered with %.200q: %w", said, err)
	}
	switch reply := reply.(type) {
	case *tns.Accept:
		if p.want != wantAccept {
			return errors.New("accepted")
		}
	case *tns.Refuse:
		if reply.Code() != p.want && p.want != wantAny {
			return fmt.Errorf("refused with %v, and should be with %v", reply.Code(), p.want)
		}
	default:
		return fmt.Errorf("answered with %T", reply)
	}
	return nil
}

// replayed is a connection that says what it is given.
type replayed struct {
	net.Conn
	io.Reader
}

func (r *replayed) Read(p []byte) (int, error) { return r.Reader.Read(p) }

// besiege runs probes against a broker, and those that are silent against another one, which does not wait for them as long.
func besiege(t *testing.T, probes []probe) {
	t.Helper()
	silent := func(p probe) bool { return p.class == "silence" }
	for name, part := range map[string]struct {
		other  func(probe) bool
		change func(*broker.Config)
	}{
		"said":    {silent, nil},
		"silence": {func(p probe) bool { return !silent(p) }, func(c *broker.Config) { c.InboundTimeout = silenceShort }},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, part.change)
			w.all(t, slices.DeleteFunc(slices.Clone(probes), part.other))
			w.unharmed()
		})
	}
}

// all runs probes one after the other, and looks after each that the right count went up.
func (w *world) all(t *testing.T, probes []probe) {
	t.Helper()
	for i := range probes {
		p := &probes[i]
		t.Run(p.name, func(t *testing.T) {
			before, began := w.metrics(), time.Now()
			said, err := p.run(w)
			if err == nil {
				err = p.judge(said)
			}
			if err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > answerLimit || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("it took %v", took)
			}
			w.counted(t, before, p.class)
		})
	}
}

// counted looks whether one class went up since, and no other.
func (w *world) counted(t *testing.T, before metrics, class string) {
	t.Helper()
	w.eventually(t, func() error {
		now := w.metrics()
		for series, value := range now {
			want := before[series]
			if series == `rejected_input_total{class="`+class+`"}` {
				want++
			}
			if len(series) > 20 && series[:20] == "rejected_input_total" && value != want {
				return fmt.Errorf("%s was %v and is %v, after one of class %q", series, before[series], value, class)
			}
		}
		return nil
	})
}
