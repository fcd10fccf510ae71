package tns

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func pingConnect() []byte { return encode(NewConnect([]byte("(CONNECT_DATA=(COMMAND=ping))"))) }

func TestPing(t *testing.T) {
	ours, end := script(t, step{expect: pingConnect()}, step{send: encode(PingReply("LISTENER"))})
	reply, err := Ping(t.Context(), ours)
	if err != nil || reply != pingAnswer {
		t.Fatalf("%q, %v", reply, err)
	}
	end()
}

// Whatever else answers a ping is an error that says what came.
func TestPingUnexpected(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		answer     []byte
		err        error
	}{
		{"refused", "ORA-01189", encode(NewRefuse(CodeAdminRefused, 0)), nil},
		{"refused without a code", "without a code", encode(&Refuse{Text: "no"}), nil},
		{"accepted", "ACCEPT", encode(&Accept{Version: 319}), ErrUnexpected},
		{"redirected", "HOST=db2-vip", encode(&Redirect{Address: redirectAddress}), ErrUnexpected},
		{"a stray packet", "no answer to a CONNECT", encode(Marker{1, 1}), ErrUnexpected},
		{"not Oracle Net", "malformed", []byte("HTTP/1.1 400 Bad Request\r\n"), ErrMalformed},
	} {
		ours, end := script(t, step{expect: pingConnect()}, step{send: tc.answer})
		_, err := Ping(t.Context(), ours)
		if err == nil || !strings.Contains(err.Error(), tc.want) || tc.err != nil && !errors.Is(err, tc.err) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if refused := (*RefusedError)(nil); tc.err == nil && !errors.As(err, &refused) {
			t.Errorf("%s: %v is no refusal", tc.name, err)
		}
		end()
	}
}

// RESEND is answered with the whole CONNECT, long data too, and not for ever.
func TestTryServiceResend(t *testing.T) {
	data := bytes.Repeat([]byte("d"), 500)
	connect := encode(NewConnect(data))
	ours, end := script(t, step{expect: connect}, step{send: encode(Resend{})}, step{expect: connect}, step{send: encode(Resend{TLS: true})},
		step{expect: connect}, step{send: encode(&Accept{Version: 318, SDU: 4096, TDU: 4096})})
	m, err := TryService(t.Context(), ours, data)
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := m.(*Accept); !ok || a.SDU != 4096 {
		t.Fatal(m)
	}
	end()

	var steps []step
	for range 1 + maxResends {
		steps = append(steps, step{expect: connect}, step{send: encode(Resend{})})
	}
	ours, end = script(t, steps...)
	if _, err := TryService(t.Context(), ours, data); !errors.Is(err, ErrTooManyResends) {
		t.Fatal(err)
	}
	end()
}

// tlsPipe looks like TLS; only its owner could repeat the handshake.
type tlsPipe struct{ net.Conn }

func (tlsPipe) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }

func TestTryServiceReturnsTLSResend(t *testing.T) {
	ours, end := script(t, step{expect: pingConnect()}, step{send: encode(Resend{TLS: true})})
	if reply, err := Ping(t.Context(), tlsPipe{ours}); !errors.Is(err, ErrUnexpected) {
		t.Fatal(reply, err)
	}
	end()
}

func TestTryServiceReplies(t *testing.T) {
	for _, want := range []Message{NewRefuse(CodeBlocked, 0), &Redirect{Address: redirectAddress, ConnectData: redirectData}} {
		ours, end := script(t, step{expect: pingConnect()}, step{send: encode(want)})
		got, err := TryService(t.Context(), ours, []byte("(CONNECT_DATA=(COMMAND=ping))"))
		if err != nil || !bytes.Equal(encode(got), encode(want)) {
			t.Fatal(got, err)
		}
		end()
	}
}

func TestTryServiceTooLong(t *testing.T) {
	ours, end := script(t)
	_, err := TryService(t.Context(), ours, make([]byte, 70000))
	mustFail(t, err, ErrTooLong)
	end()
}

// A silent listener is left when the context's time is up.
func TestPingDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		asked := make(chan []byte, 1)
		go func() {
			request, _ := io.ReadAll(theirs) // until the other side gives up
			asked <- request
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_, err := Ping(ctx, ours)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Fatalf("%v after %v", err, took)
		}
		mustEqual(t, <-asked, pingConnect())
	})
}

func TestPingCancelled(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	why := errors.New("the operator lost patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(why)
	if _, err := Ping(ctx, ours); !errors.Is(err, why) {
		t.Fatal(err)
	}
	// A context that has ended before is not even begun with.
	ours, theirs = net.Pipe()
	defer theirs.Close()
	if _, err := Ping(ctx, ours); !errors.Is(err, why) {
		t.Fatal(err)
	}
}
