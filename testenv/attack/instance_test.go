package attack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"servicebroker/broker"
	"servicebroker/tns"
)

// lie is what an instance answers that is broken, or means harm: the broker is a client of it.
type lie struct {
	name   string
	answer func(c net.Conn, here string) // after the first CONNECT has come; here is where the instance is
	want   tns.Code                      // for the client
	class  string
}

// says answers with bytes and then waits for the other side's end.
func says(b []byte) func(net.Conn, string) {
	return func(c net.Conn, _ string) {
		if _, err := c.Write(b); err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	}
}

// again answers every CONNECT alike.
func again(m func(here string) tns.Message) func(net.Conn, string) {
	return func(c net.Conn, here string) {
		conn := tns.NewConn(c)
		for conn.Send(m(here)) == nil {
			if _, err := conn.ReadConnect(); err != nil {
				return
			}
		}
	}
}

// endless answers with the same bytes for as long as they are taken.
func endless(b []byte) func(net.Conn, string) {
	return func(c net.Conn, _ string) {
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
}

func redirectTo(address func(here string) string) func(net.Conn, string) {
	return again(func(here string) tns.Message { return &tns.Redirect{Address: address(here)} })
}

func addressOf(at string) string {
	host, port, _ := net.SplitHostPort(at)
	return fmt.Sprintf("(ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%s))", host, port)
}

// acceptance is an ACCEPT with some bytes put in place of others.
func acceptance(at int, with ...byte) []byte {
	b := tns.AnswerConnect(tns.NewConnect([]byte(sales)), 318, nil).AppendTo(nil, false)
	copy(b[at:], with)
	return b
}

func (w *world) lies() []lie {
	const none, lost = tns.CodeHandoff, tns.CodeLostContact
	refusal := tns.NewRefuse(tns.CodeUnknownService, 0).AppendTo(nil, false)
	return []lie{
		{"RESEND for ever", again(func(string) tns.Message { return &tns.Resend{} }), none, "instance"},
		{"REDIRECT to itself", redirectTo(addressOf), none, "instance"},
		{"REDIRECT in a circle", redirectTo(func(string) string { return addressOf(w.circle()) }), none, "instance"},
		{"REDIRECT to the broker", redirectTo(func(string) string { return addressOf(w.Addresses()[plain]) }), tns.CodeRedirectDenied, ""},
		{"REDIRECT to what cannot be read", redirectTo(func(string) string { return "(ADDRESS=(PROTOCOL=tcp)(HOST=" }), wantAny, "instance"},
		{"REDIRECT to a protocol of its own", redirectTo(func(string) string { return "(ADDRESS=(PROTOCOL=exec)(PROGRAM=/bin/sh)(ARGS='-c id'))" }), wantAny, "instance"},
		{"REDIRECT to a port that is none", redirectTo(func(string) string { return "(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=99999))" }), wantAny, "instance"},
		{"ACCEPT with an offset past its end", says(acceptance(20, 0xff, 0xff)), wantAny, "instance"},
		{"ACCEPT with more data than it has", says(acceptance(18, 0xff, 0xff)), tns.CodeTimeout, ""},
		{"ACCEPT of length 0", says(acceptance(0, 0, 0)), wantAny, "instance"},
		{"ACCEPT of length 7", says(acceptance(0, 0, 7)), wantAny, "instance"},
		{"ACCEPT with a length of 4 bytes", says(large(tns.TypeAccept, acceptance(0)[8:])), wantAny, "instance"},
		{"ACCEPT that says 4 GB", endless([]byte{0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0}), wantAny, "instance"},
		{"half an ACCEPT, silence", says(acceptance(0)[:20]), tns.CodeTimeout, ""},
		{"half an ACCEPT, end", func(c net.Conn, _ string) { _, _ = c.Write(acceptance(0)[:20]) }, wantAny, ""},
		{"silence", says(nil), tns.CodeTimeout, ""},
		{"end", func(net.Conn, string) {}, lost, ""},
		{"reset", func(c net.Conn, _ string) { reset(c) }, lost, ""},
		{"CONNECT back", says(connect(sales)), wantAny, "instance"},
		{"DATA", says(data([]byte("hello"))), wantAny, "instance"},
		{"DATA for ever", endless(data(bytes.Repeat([]byte("x"), 2000))), wantAny, "instance"},
		{"MARKER", says([]byte{0, 11, 0, 0, 12, 0, 0, 0, 1, 0, 2}), wantAny, "instance"},
		{"an unknown type", says([]byte{0, 8, 0, 0, 99, 0, 0, 0}), wantAny, "instance"},
		{"HTTP", says([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")), wantAny, "instance"},
		{"a banner without end", endless([]byte("SSH-2.0-OpenSSH_9.2\r\n")), wantAny, "instance"},
		{"TLS alert", says([]byte{0x15, 3, 3, 0, 2, 2, 70}), wantAny, ""},
		{"REFUSE without a code", says([]byte{0, 12, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}), none, ""},
		{"REFUSE that says more than it has", says(append(bytes.Clone(refusal[:10]), 0xff, 0xff, 'x')), wantAny, ""},
		{"REFUSE of a code that is none", says(tns.NewRefuse(99_999_999, 0).AppendTo(nil, false)), wantAny, ""},
		{"REFUSE with 60,000 bytes", says(longRefusal(60_000)), wantAny, ""},
	}
}

// longRefusal is a REFUSE whose text has that many letters.
func longRefusal(n int) []byte {
	text := "(DESCRIPTION=(ERR=12514)(X=" + string(bytes.Repeat([]byte("x"), n)) + "))"
	b := []byte{0, 0, 0, 0, 4, 0, 0, 0, 0, 0, byte(len(text) >> 8), byte(len(text))}
	b = append(b, text...)
	b[0], b[1] = byte(len(b)>>8), byte(len(b))
	return b
}

// circle is an instance that sends to another one, which sends back.
func (w *world) circle() string {
	here := make(chan string, 1)
	at := w.instance(func(c net.Conn) {
		to := <-here
		here <- to
		if _, err := tns.NewConn(c).ReadConnect(); err == nil {
			redirectTo(addressOf)(c, to)
		}
	})
	here <- at
	return at
}

// What instances lie ends their attempt, in bounds, and harms nobody else.
func TestInstancesThatLie(t *testing.T) {
	w := start(t, func(c *broker.Config) {
		c.ProbeInterval, c.AttemptTimeout, c.Hedge, c.HedgeLearnt = 0, 2*time.Second, 0, false
	})
	var services []string
	for i, l := range w.lies() {
		at := make(chan string, 1)
		at <- w.instance(func(c net.Conn) {
			here := <-at
			at <- here
			if _, err := tns.NewConn(c).ReadConnect(); err == nil {
				l.answer(c, here)
			}
		})
		here := <-at
		at <- here
		name := fmt.Sprintf("lie%d", i)
		withdraw := w.register(offer{instance: name, services: []string{name}, at: []string{here}})
		services = append(services, name)
		w.all(t, []probe{{name: l.name, send: connect("(CONNECT_DATA=(SERVICE_NAME=" + name + "))"), then: stay, want: l.want, class: l.class}})
		withdraw()
	}
	w.eventually(t, func() error {
		for _, name := range services {
			if _, err := w.Snapshot().Service(name); err == nil {
				return errors.New(name + " is still there")
			}
		}
		return nil
	})
	w.goroutines += len(services) + 4 // the instances' own
	w.files += len(services) + 4
	w.unharmed()
}
