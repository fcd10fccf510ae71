package stage

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// packet frames a body.
func packet(kind byte, body string) string {
	header := binary.BigEndian.AppendUint16(nil, uint16(packetHeader+len(body)))
	return string(append(header, 0, 0, kind, 0, 0, 0)) + body
}

// answers is a listener that says the same to everyone, cut into pieces of some size, once the client has said something.
func answers(t *testing.T, text string, piece int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 10))
			for rest := text; rest != ""; {
				n := min(piece, len(rest))
				_, _ = io.WriteString(c, rest[:n])
				rest = rest[n:]
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-over
	})
	return l.Addr().String()
}

func startTap(t *testing.T, target string) *Tap {
	t.Helper()
	tap, err := StartTap(target)
	must(t, err)
	t.Cleanup(tap.Close)
	return tap
}

// through asks through one loopback address of a tap and returns all that comes.
func through(t *testing.T, tap *Tap, host string) string {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(tap.Port)))
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, "CONNECT")
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return "" // the tap had nobody to hand it to, and closed
	}
	must(t, err)
	said, err := io.ReadAll(c)
	if len(said) == 0 && errors.Is(err, syscall.ECONNRESET) {
		return "" // likewise, with our bytes unread
	}
	must(t, err)
	return string(said)
}

// Whatever a broker answers, in whatever pieces, comes through unchanged and is noted.
func TestTapSeesAnswers(t *testing.T) {
	refusal := "(DESCRIPTION=(ERR=12514)(REF=ABCD2345))"
	for name, test := range map[string]struct {
		said   string
		answer Answer
		text   string
	}{
		"accept":                 {packet(2, strings.Repeat("a", 24)), Accepted, ""},
		"accept and more":        {packet(2, strings.Repeat("a", 24)) + packet(4, "behind an ACCEPT nothing is looked at"), Accepted, ""},
		"refuse":                 {packet(4, "\x22\x00\x00\x27"+refusal), Refused, refusal},
		"resend, then refuse":    {packet(11, "") + packet(4, "\x22\x00\x00\x27"+refusal), Refused, refusal},
		"redirect, text follows": {packet(5, "\x00\x40") + packet(6, "\x00\x00(ADDRESS=(PORT=1))\x00(DESCRIPTION=)"), Redirected, "(ADDRESS=(PORT=1))"},
		"redirect, text within":  {packet(5, "\x00\x12(ADDRESS=(PORT=2))"), Redirected, "(ADDRESS=(PORT=2))"},
		"nothing":                {"", NoAnswer, ""},
		"half a refusal":         {packet(4, "\x22\x00\x00\x27"+refusal)[:20], Refused, ""},
		"garbage":                {strings.Repeat("\x00", 2*maxWatched), NoAnswer, ""},
	} {
		for _, piece := range []int{1, 7, 100_000} {
			t.Run(name+" in pieces of "+strconv.Itoa(piece), func(t *testing.T) {
				began := time.Now()
				tap := startTap(t, answers(t, test.said, piece))
				if got := through(t, tap, "127.16.3.4"); got != test.said {
					t.Errorf("came through as %q", got)
				}
				var s Sighting
				must(t, Eventually(soon(t), func() error {
					s = tap.Sightings()[0]
					if s.Ended.IsZero() {
						return io.ErrNoProgress
					}
					return nil
				}))
				if s.Answer != test.answer || s.Text != test.text || s.Door.String() != "127.16.3.4" || s.Client == "" {
					t.Errorf("seen as %+v", s)
				}
				if s.Began.Before(began) || s.Answer != NoAnswer && (s.Answered.Before(s.Began) || s.Answered.After(s.Ended)) {
					t.Errorf("times are %v, %v, %v", s.Began, s.Answered, s.Ended)
				}
			})
		}
	}
}

// Who cannot be reached is seen as not answering.
func TestTapOfNobody(t *testing.T) {
	address, err := FreeAddress()
	must(t, err)
	tap := startTap(t, address)
	if got := through(t, tap, "127.0.0.1"); got != "" {
		t.Errorf("got %q of nobody", got)
	}
	if s := tap.Sightings(); len(s) != 1 || s[0].Answer != NoAnswer || s[0].Client != "" {
		t.Errorf("seen as %+v", s)
	}
}

// What is frozen comes once it is thawed; what is cut is reset.
func TestTapFreezesAndCuts(t *testing.T) {
	said := packet(2, strings.Repeat("a", 24))
	tap := startTap(t, answers(t, said, 1000))
	tap.Freeze()
	tap.Freeze()
	c, err := net.Dial("tcp", tap.Address)
	must(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "CONNECT")
	must(t, err)
	must(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("something comes through a tap that is frozen")
	}
	tap.Thaw()
	tap.Thaw()
	must(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	if got, err := io.ReadAll(c); err != nil || string(got) != said {
		t.Errorf("after the thaw: %q, %v", got, err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	waiting := startTap(t, silent.Addr().String())
	d, err := net.Dial("tcp", waiting.Address)
	must(t, err)
	defer d.Close()
	must(t, Eventually(soon(t), func() error {
		if s := waiting.Sightings(); len(s) == 0 || s[0].Client == "" {
			return io.ErrNoProgress
		}
		return nil
	}))
	waiting.Cut()
	must(t, d.SetReadDeadline(time.Now().Add(20*time.Second)))
	if _, err := d.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("a connection that was cut ends with %v", err)
	}
}

func TestAnswerNames(t *testing.T) {
	for answer, want := range map[Answer]string{NoAnswer: "no answer", Accepted: "ACCEPT", Refused: "REFUSE", Redirected: "REDIRECT", 11: "another packet"} {
		if got := answer.String(); got != want {
			t.Errorf("%d is called %q instead of %q", answer, got, want)
		}
	}
}

// A tap that refuses has seen everyone who was let in before, and lets in others once it is open again.
func TestTapRefuses(t *testing.T) {
	tap := startTap(t, answers(t, packet(byte(Accepted), "welcome"), 100))
	for range 3 {
		const many = 20
		before := len(tap.Sightings())
		var came []net.Conn
		for range many {
			c, err := net.Dial("tcp", tap.Address)
			must(t, err)
			came = append(came, c)
		}
		tap.Refuse()
		if c, err := net.Dial("tcp", tap.Address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("somebody was let in: %v, %v", c, err)
		}
		must(t, Eventually(soon(t), func() error {
			if n := len(tap.Sightings()) - before; n != many {
				return errors.New("not all were seen")
			}
			return nil
		}))
		for _, c := range came { // all of them, since those behind are served one by one, in an order of their own
			_, err := c.Write([]byte("hello"))
			must(t, err)
		}
		for _, c := range came {
			if _, err := io.ReadFull(c, make([]byte, packetHeader)); err != nil {
				t.Errorf("who was let in is not carried: %v", err)
			}
			c.Close()
		}
		must(t, tap.Reopen())
	}
	if got := through(t, tap, "127.0.0.1"); !strings.Contains(got, "welcome") {
		t.Errorf("after all it says %q", got)
	}
}
