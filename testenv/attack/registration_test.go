package attack

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"servicebroker/broker"
	"servicebroker/registration"
	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

const registerCommand = "(CONNECT_DATA=(COMMAND=service_register_NSGR))"

// message is a registration on the wire.
func message(t *testing.T, r servicetable.Registration) []byte {
	t.Helper()
	r.GUID = [16]byte{1, 2, 3}
	for i := range r.Handlers {
		r.Handlers[i].ID = [16]byte{9, byte(i)}
	}
	m, err := registration.ToMessage(r, nsgr.Linux64())
	must(t, err)
	b, err := m.AppendTo(nil)
	must(t, err)
	return b
}

// registrant is a database whose every byte the test writes.
type registrant struct {
	net.Conn
	t *testing.T
}

// registrant connects at a door and is accepted.
func (w *world) registrant(t *testing.T, at int) *registrant {
	t.Helper()
	c := w.dial(at)
	_, err := c.Write(connect(registerCommand))
	must(t, err)
	reply, err := tns.NewConn(c).ReadReply()
	must(t, err)
	if _, ok := reply.(*tns.Accept); !ok {
		t.Fatalf("a registrant is answered with %#v", reply)
	}
	return &registrant{c, t}
}

// say sends a message as DATA, with the lengths of 4 bytes that were agreed upon.
func (r *registrant) say(message []byte) {
	r.t.Helper()
	_, err := r.Write(tns.AppendData(nil, 0, message, 8192, true))
	must(r.t, err)
}

// withdraw ends a registration by the database's own word, and waits until the broker has heard it.
func (r *registrant) withdraw() {
	r.t.Helper()
	_, err := r.Write(tns.AppendData(nil, tns.DataEOF, nil, 8192, true))
	must(r.t, err)
	_, _ = io.Copy(io.Discard, r)
	r.Close()
}

// awaitEvent waits until a count of registration_events_total has grown.
func (w *world) awaitEvent(t *testing.T, before metrics, event string, by float64) {
	t.Helper()
	name := `registration_events_total{event="` + event + `"}`
	w.eventually(t, func() error {
		if now := w.metrics()[name]; now < before[name]+by {
			return fmt.Errorf("%s was %v and is %v", name, before[name], now)
		}
		return nil
	})
}

// one is a registration of one service at one address that is not looked into.
func one(instance, service, address string) servicetable.Registration {
	r := offer{instance: instance, services: []string{service}}.registration()
	r.Handlers = []servicetable.Handler{{Name: "DEDICATED", Address: address, Info: "REMOTE SERVER", Max: 149, Flags: 2, Services: []int{0}}}
	return r
}

// Who is not invited registers nothing, however he puts it.
func TestRegistrationOfStrangers(t *testing.T) {
	w := start(t, nil)
	var probes []probe
	for _, form := range []string{
		registerCommand, strings.ToLower(registerCommand), "(DESCRIPTION=" + registerCommand + ")", "(CONNECT_DATA =\n  (COMMAND = service_register_NSGR))",
		`(CONNECT_DATA=(COMMAND="service_register_NSGR"))`, "(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=" + strings.Repeat("x", 400) + "))(COMMAND=service_register_NSGR)))",
	} {
		forged := append(connect(form), tns.AppendData(nil, 0, message(t, one("sales2", "sales", "(ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.66)(PORT=1521))")), 8192, true)...)
		probes = append(probes, probe{name: fmt.Sprintf("%.60q", form), at: proxied, send: forged, want: tns.CodeRegistrationRejected, class: "registration"})
	}
	w.all(t, probes)
	w.unharmed()
}

// invited is a broker at which the stranger may register.
func invited(t *testing.T, change func(*broker.Config)) *world {
	t.Helper()
	return start(t, func(c *broker.Config) {
		c.Admission.Invited = []string{stranger}
		c.ProbeInterval = 0
		if change != nil {
			change(c)
		}
	})
}

// A database of another host has no handlers on this one: neither as it writes them nor behind a name.
func TestHandlersThatCannotBe(t *testing.T) {
	w := invited(t, nil)
	_, port, _ := net.SplitHostPort(w.Addresses()[plain])
	for _, host := range []string{
		"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST.", "localhost.localdomain", "a.localhost", "0.0.0.0", "::",
		"169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "127.0.0.1 own",
	} {
		t.Run(host, func(t *testing.T) {
			before := w.metrics()
			r := w.registrant(t, proxied)
			defer r.Close()
			to := "1"
			if at, own := strings.CutSuffix(host, " own"); own {
				host, to = at, port
			}
			r.say(message(t, one("evil1", "evil", "(ADDRESS=(PROTOCOL=tcp)(HOST="+host+")(PORT="+to+"))")))
			w.there(t, "evil")
			w.counted(t, before, "registration")
			if s, err := w.Snapshot().Service("evil"); err == nil && len(s.Instances[0].Handlers) > 0 {
				t.Errorf("the handler is in the table: %+v", s.Instances[0].Handlers[0].Handler)
			}
			r.Close()
			w.gone(t, "evil")
		})
	}
	w.unharmed()
}

// there waits until a service is registered.
func (w *world) there(t *testing.T, service string) {
	t.Helper()
	w.eventually(t, func() error { _, err := w.Snapshot().Service(service); return err })
}

// gone waits until a service is registered no more.
func (w *world) gone(t *testing.T, service string) {
	t.Helper()
	w.eventually(t, func() error {
		if _, err := w.Snapshot().Service(service); err == nil {
			return fmt.Errorf("%s is still there", service)
		}
		return nil
	})
}

// A redirect of an instance of another host does not lead to this host's own doors either.
func TestInstancesElsewhereDoNotLeadHere(t *testing.T) {
	w := invited(t, nil)
	secret := w.instance(func(c net.Conn) {
		t.Error("a connection came where none may lead")
		_, _ = io.Copy(io.Discard, c)
	})
	_, port, _ := net.SplitHostPort(secret)
	w.remember()
	r := w.registrant(t, proxied)
	defer r.Close()
	r.say(message(t, one("evil1", "evil", "(ADDRESS=(PROTOCOL=tcp)(HOST=ip6-localhost)(PORT="+port+"))"))) // a name of /etc/hosts
	w.there(t, "evil")
	w.all(t, []probe{{name: "by a name", send: connect("(CONNECT_DATA=(SERVICE_NAME=evil))"), then: stay, want: wantAny}})
	r.Close()
	w.gone(t, "evil")
	w.unharmed()
}

// Figures of any size are taken as they are, and balance nobody out.
func TestLoadsOfAnySize(t *testing.T) {
	w := start(t, func(c *broker.Config) { c.ProbeInterval = 0 })
	at := w.instance(acceptAll)
	for _, figure := range []uint32{0, 1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32} {
		r := offer{instance: "sales2", services: []string{"sales"}, at: []string{at}}.registration()
		r.NodeLoad, r.NodeMax, r.Load, r.Max = figure, figure, figure, figure
		r.Services[0].Goodness, r.Services[0].Delta = figure, figure
		r.Handlers[0].Load, r.Handlers[0].Max = figure, figure
		c := w.registrant(t, plain)
		c.say(message(t, r))
		w.eventually(t, func() error {
			if n := strings.Count(w.state(), "sales2"); n != 1 {
				return fmt.Errorf("%d times in the table", n)
			}
			return nil
		})
		for range 10 {
			w.good()
		}
		_, _ = w.get("/api/v1/services")
		w.metrics()
		c.say(message(t, r)) // once more, to the byte
		c.withdraw()
		if n := strings.Count(w.state(), "sales2"); n != 0 {
			t.Errorf("%d times in the table, once it has left", n)
		}
	}
	w.goroutines, w.files = w.goroutines+4, w.files+4 // the instance
	w.unharmed()
}

// What a registrant makes up is bounded, in one message and over many.
func TestServicesWithoutEnd(t *testing.T) {
	w := start(t, func(c *broker.Config) { c.ProbeInterval = 0 })
	c := w.registrant(t, plain)
	defer c.Close()
	before := w.metrics()
	const each, rounds = 9_000, 5
	for round := range rounds {
		r := offer{instance: "many1"}.registration()
		for i := range each {
			r.Services = append(r.Services, servicetable.Service{Name: fmt.Sprintf("s%d_%d", round, i), Flags: servicetable.FlagUnblocked})
		}
		m, err := registration.ToMessage(r, nsgr.Linux64())
		must(t, err)
		if in := m.Nodes()[0].Instance; round > 0 {
			in.Update = 1 // adds to what was said
		}
		b, err := m.AppendTo(nil)
		must(t, err)
		c.say(b)
	}
	w.awaitEvent(t, before, "undecodable", rounds-2)
	if n := len(w.Snapshot().Services()); n > 20_001 {
		t.Errorf("%d services are in the table", n)
	}
	if now := w.metrics(); now.rejected("registration") == before.rejected("registration") {
		t.Error("nothing was counted as rejected")
	}
	w.good()
	c.Close()
	w.gone(t, "s0_0")
	w.heap += 100 << 20 // what is remembered of so many names for some minutes
	w.unharmed()
}

// Who registers and leaves again and again keeps nobody from anything.
func TestFlapping(t *testing.T) {
	w := start(t, func(c *broker.Config) { c.ProbeInterval = 0 })
	began := time.Now()
	for range 300 {
		c := w.registrant(t, plain)
		c.say(message(t, one("flap1", "flap", "(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=1))")))
		reset(c.Conn)
	}
	t.Logf("300 times in %v", time.Since(began))
	w.good()
	w.gone(t, "flap")
	w.unharmed()
}

// What is no registration is left out and counted; what was registered before stays.
func TestMessagesThatAreNone(t *testing.T) {
	w := start(t, func(c *broker.Config) { c.ProbeInterval = 0 })
	c := w.registrant(t, plain)
	defer c.Close()
	good := message(t, one("kept1", "kept", "(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=1))"))
	c.say(good)
	w.there(t, "kept")
	table, before := w.state(), w.metrics()
	broken := 0
	for i := 4; i < len(good); i += 37 {
		b := append([]byte(nil), good...)
		b[i] ^= 0xff
		c.say(b)
		broken++
	}
	w.awaitEvent(t, before, "undecodable", 1)
	c.say(good)
	w.eventually(t, func() error {
		if now := w.state(); now != table {
			return fmt.Errorf("the table was\n%s\nand is\n%s", table, now)
		}
		return nil
	})
	if now := w.metrics(); now.rejected("registration") == before.rejected("registration") {
		t.Error("nothing was counted as rejected")
	}
	c.Close()
	w.gone(t, "kept")
	w.unharmed()
}

// Names that look like another one's are other names, and where they are the same, a claim covers them.
func TestNamesThatLookAlike(t *testing.T) {
	w := invited(t, func(c *broker.Config) {
		c.Registrants = []registration.RegistrantRule{{Name: "sales", Sources: []string{"127.0.0.1"}, Services: []string{"sales", "sales.*"}}}
	})
	for name, same := range map[string]bool{
		"SALES": true, "Sales": true, "sales.example.com": true, "SALES.EXAMPLE.COM": true, "sales.": true,
		"sales ": false, " sales": false, "sales\x00x": false, "ѕales": false, "ｓales": false, "sa\u00adles": false, "sales\u200b": false, "*": false, "sales*": false, "%": false, "sales\r\n": false,
	} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			c := w.registrant(t, proxied)
			defer c.Close()
			c.say(message(t, one("evil1", name, "(ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.66)(PORT=1))")))
			w.eventually(t, func() error {
				if !strings.Contains(w.state(), "evil1") {
					return errors.New("it is not there")
				}
				return nil
			})
			quarantined := w.metrics()["quarantined_services"] > 0
			if quarantined != same {
				t.Errorf("quarantined: %v, want %v", quarantined, same)
			}
			w.good() // the candidates for sales are what they were
			candidates, err := w.Snapshot().Match(servicetable.Query{Service: "sales"})
			if err != nil || len(candidates) != 1 {
				t.Errorf("sales has %d candidates, %v", len(candidates), err)
			}
			c.Close()
			w.eventually(t, func() error {
				if strings.Contains(w.state(), "evil1") {
					return errors.New("it is still there")
				}
				return nil
			})
		})
	}
	w.unharmed()
}
