package servicetable

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// database builds a registration the way tests speak: an instance of a host offering services, all ready, all served
// by one DEDICATED handler. Change what a test is about.
func database(instance, host string, services ...string) Registration {
	r := Registration{
		ID: ID("conn-" + instance + "-" + host), Instance: instance, Host: host, HostRaw: "(HOST=" + host + ")",
		NodeLoad: 10, NodeMax: 100, Load: 1, Max: 247, RegisteredAt: time.Unix(1000, 0), LoadAt: time.Unix(1000, 0), LoadSource: "registration",
	}
	for _, name := range services {
		r.Services = append(r.Services, Service{Name: name, Flags: FlagUnblocked, Goodness: 1, Delta: 1})
	}
	return r.with(Handler{Name: "DEDICATED", Kind: Dedicated, Load: 5, Max: 149})
}

// with adds a handler that serves everything, unless h says otherwise.
func (r Registration) with(h Handler) Registration {
	h.Protocol, h.Host = "tcp", r.Host
	if h.Port == 0 {
		h.Port = 1521 + len(r.Handlers)
	}
	h.Address = fmt.Sprintf("(ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%d))", h.Host, h.Port)
	if h.Services == nil {
		for i := range r.Services {
			h.Services = append(h.Services, i)
		}
	}
	r.Handlers = append(r.Handlers[:len(r.Handlers):len(r.Handlers)], h)
	return r
}

func (r Registration) flagged(flags uint32) Registration {
	r.Services = append([]Service(nil), r.Services...)
	for i := range r.Services {
		r.Services[i].Flags = flags
	}
	return r
}

// withoutHandlers leaves the services alone.
func (r Registration) withoutHandlers() Registration {
	r.Handlers = nil
	return r
}

func tableOf(all ...Registration) *Table {
	t := &Table{}
	for _, r := range all {
		t.Apply(r)
	}
	return t
}

// summary renders candidates as "instance/handler=service" in order, with the status where it is not READY.
func summary(found []Candidate) string {
	var words []string
	for _, c := range found {
		word := c.Registration.Instance + "/" + c.Handler.Name + "=" + c.Service.Name
		if c.Status != Ready {
			word += "!" + c.Status.String()
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// wantMatch matches q and compares with the summary.
func wantMatch(t *testing.T, s *Snapshot, q Query, want string) {
	t.Helper()
	found, err := s.Match(q)
	if err != nil {
		t.Errorf("Match(%+v): %v, want %s", q, err, want)
		return
	}
	if got := summary(found); got != want {
		t.Errorf("Match(%+v)\n got %s\nwant %s", q, got, want)
	}
}
