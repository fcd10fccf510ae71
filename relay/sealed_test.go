package relay

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// sealedWorld has instances that end TLS themselves, which answer with their name.
type sealedWorld struct {
	*world
	mu   sync.Mutex
	got  map[string][]byte // what came first, by instance
	mute map[string]bool   // take connections and say nothing
}

func newSealedWorld(t *testing.T) *sealedWorld {
	s := &sealedWorld{world: newWorld(t), got: map[string][]byte{}, mute: map[string]bool{}}
	s.Connect = s.open
	return s
}

func (s *sealedWorld) open(_ context.Context, to Destination) (net.Conn, error) {
	if !to.Sealed || to.Address.Host == "down" {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	s.running.Go(func() {
		defer far.Close()
		first := make([]byte, 64)
		n, err := far.Read(first)
		s.mu.Lock()
		s.got[to.Address.Host] = append([]byte(nil), first[:n]...)
		mute := s.mute[to.Address.Host]
		s.mu.Unlock()
		if err != nil || mute {
			return
		}
		_, _ = io.WriteString(far, "this is "+to.Address.Host+";")
		_, _ = io.Copy(far, far)
	})
	return near, nil
}

// has registers an instance of sales with a protocol.
func (s *sealedWorld) has(name, protocol string) {
	s.table.Apply(servicetable.Registration{ID: servicetable.ID(name), Instance: name, Host: name + ".host",
		Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked, Delta: 1}},
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: protocol, Host: name, Port: 2484, Services: []int{0}}}})
}

// ask serves a sealed client, and returns its side.
func (s *sealedWorld) ask(q Sealed) net.Conn {
	near, far := net.Pipe()
	s.t.Cleanup(func() { near.Close() })
	s.running.Go(func() { s.ServeSealed(s.t.Context(), far, q, s.waitedFor(Arrival{})) })
	return near
}

var hello = []byte("\x16\x03\x01client hello")

func (s *sealedWorld) wantText(c net.Conn, want string) {
	s.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		s.t.Fatalf("%q, %v, want %q", got, err, want)
	}
}

func TestSealedIsPassedOn(t *testing.T) {
	w := newSealedWorld(t)
	w.mode(ModeRedirect) // which there is no way to
	w.has("plain1", "TCP")
	w.has("down", "TCPS")
	w.has("secure1", "TCPS")
	c := w.ask(Sealed{Service: "SALES", Server: "d", Hello: hello})
	w.wantText(c, "this is secure1;")
	if _, err := io.WriteString(c, "and on"); err != nil {
		t.Fatal(err)
	}
	w.wantText(c, "and on")
	w.mu.Lock()
	if !bytes.Equal(w.got["secure1"], hello) || w.got["plain1"] != nil {
		t.Errorf("sent %q", w.got)
	}
	w.mu.Unlock()
	if open := w.Sessions(); len(open) != 1 || open[0].Service != "sales" || open[0].Instance != "secure1@secure1.host" {
		t.Errorf("sessions %+v", open)
	}
	c.Close()
	w.running.Wait()
	all := w.Journal.Find(journal.FindQuery{})
	if len(all) != 1 || all[0].Outcome != journal.Relay || !strings.Contains(all[0].Query.Descriptor, "(SERVER=dedicated)") {
		t.Fatalf("%+v", all)
	}
	passed := false
	for _, candidate := range all[0].Candidates {
		passed = passed || strings.HasPrefix(candidate.Key, "plain1@") && candidate.PassedOver == "it does not end TLS itself"
	}
	if !passed {
		t.Errorf("candidates %+v", all[0].Candidates)
	}
}

// An instance that says nothing has not taken the client.
func TestSealedGetsPastTheMute(t *testing.T) {
	w := newSealedWorld(t)
	w.mute["mute1"] = true
	w.has("mute1", "TCPS")
	w.has("secure1", "TCPS")
	w.wantText(w.ask(Sealed{Service: "sales", Hello: hello}), "this is secure1;")
}

func TestSealedIsRefusedInTLS(t *testing.T) {
	for _, tc := range []struct {
		name  string
		asked Sealed
		alert byte
		why   string
	}{
		{"unknown service", Sealed{Service: "nobody"}, alertUnrecognizedName, "nobody"},
		{"another instance", Sealed{Service: "sales", Instance: "sales9"}, alertUnrecognizedName, "sales9"},
		{"no TLS there", Sealed{Service: "sales"}, alertUnrecognizedName, "let the database register an address with PROTOCOL=tcps"},
		{"by a rule", Sealed{Service: "closed"}, alertAccessDenied, "no rule lets"},
		{"nobody answers", Sealed{Service: "away"}, alertInternalError, "connection refused"},
	} {
		w := newSealedWorld(t)
		w.has("plain1", "TCP")
		for _, service := range []string{"closed", "away"} {
			w.table.Apply(servicetable.Registration{ID: servicetable.ID(service), Instance: service, Host: "h",
				Services: []servicetable.Service{{Name: service, Flags: servicetable.FlagUnblocked, Delta: 1}},
				Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCPS", Host: "down", Port: 2484, Services: []int{0}}}})
		}
		rules := CompileRules(Rules{
			{Source: HostPattern{Any: true}, Destination: HostPattern{Any: true}, Services: []string{"closed"}, Action: Reject},
			{Source: HostPattern{Any: true}, Destination: HostPattern{Any: true}, Services: []string{"*"}, Action: Accept}}, nil)
		w.Rules = func() *RuleSet { return rules }
		tc.asked.Hello = hello
		c := w.ask(tc.asked)
		w.wantText(c, string([]byte{0x15, 3, 3, 0, 2, 2, tc.alert}))
		c.Close()
		w.running.Wait()
		all := w.Journal.Find(journal.FindQuery{})
		if len(all) != 1 || all[0].Outcome != journal.Refuse || !strings.Contains(all[0].Text, tc.why) {
			t.Errorf("%s: %+v", tc.name, all[0])
		}
	}
}

// What a client asks for in its handshake is asked as others ask it.
func TestSealedAsksLikeOthers(t *testing.T) {
	q := Sealed{Service: "sales.example.com", Instance: "s1", Server: "P", ColocationTag: "east"}
	if got, want := q.data(), "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales.example.com)(INSTANCE_NAME=s1)(SERVER=pooled)(COLOCATION_TAG=east)))"; got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if got := alertOf(tns.CodeRuleRejects); got != alertAccessDenied {
		t.Errorf("alert %d", got)
	}
}
