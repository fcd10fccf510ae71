package drivers

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"servicebroker/testenv/stage"
)

// explanation is what the API tells of one connect.
type explanation struct {
	Ref          string `json:"ref"`
	Client       string `json:"client"`
	ConnectionID string `json:"connection_id"`
	Query        struct {
		Service string `json:"service"`
	} `json:"query"`
	Candidates []struct {
		Key        string `json:"key"`
		PassedOver string `json:"passed_over"`
	} `json:"candidates"`
	Outcome string `json:"outcome"`
	Chosen  string `json:"chosen"`
	Code    int    `json:"code"`
	Text    string `json:"text"`
}

// foresee asks what would become of a connect, over the API and by the command line, which must agree.
func (b *broker) foresee(t *testing.T, descriptor string) explanation {
	t.Helper()
	var e, said explanation
	must(t, b.getJSON("/api/v1/explain?descriptor="+url.QueryEscape(descriptor), &e))
	must(t, json.Unmarshal([]byte(b.command(t, 0, "--output", "json", "explain", descriptor)), &said))
	if said.Outcome != e.Outcome || said.Code != e.Code {
		t.Errorf("%s: the API foresees %s %d, the command line %s %d", descriptor, e.Outcome, e.Code, said.Outcome, said.Code)
	}
	return e
}

// search finds explanations of connects that were made.
func (b *broker) search(t *testing.T, key, value string) []explanation {
	t.Helper()
	var list struct {
		Explanations []explanation `json:"explanations"`
	}
	must(t, b.getJSON("/api/v1/explain?"+key+"="+url.QueryEscape(value), &list))
	return list.Explanations
}

// What is foreseen of a connect is what then happens, and is told afterwards, for every driver.
func TestExplained(t *testing.T) {
	s := startScene(t, "HOLD_TIMEOUT=1")
	closed := startStandin(t, "closed1")
	closed.blocked = true
	for _, mode := range s.modes {
		b := s.brokers[mode]
		closed.register(t, b, "closed")
		b.awaitService(t, "closed", "BLOCKED", 1)
		t.Run(mode, func(t *testing.T) {
			b.command(t, 0, "drain", "--service", "sales", "--instance", "sales1")
			for _, test := range []struct {
				name, connectData, outcome string
				code                       int
				at                         string
			}{
				{"accepted", "(SERVICE_NAME=pdb1)", mode, 0, "sales1"},
				{"drained", "(SERVICE_NAME=sales)", mode, 0, "sales2"},
				{"drained, and asked for", "(SERVICE_NAME=sales)(INSTANCE_NAME=sales1)", "hold", 12528, ""},
				{"unknown", "(SERVICE_NAME=nosuch)", "refuse", 12514, ""},
				{"blocked from the first", "(SERVICE_NAME=closed)", "refuse", 12528, ""},
				{"no shared server", "(SERVICE_NAME=sales)(SERVER=SHARED)", "refuse", 12520, ""},
			} {
				t.Run(test.name, func(t *testing.T) {
					e := b.foresee(t, b.descriptor(test.connectData))
					if e.Outcome != test.outcome || e.Code != test.code || e.Text == "" {
						t.Errorf("foreseen: %s %d %q, want %s %d", e.Outcome, e.Code, e.Text, test.outcome, test.code)
					}
					if test.at != "" && !strings.HasPrefix(e.Chosen, test.at+"@") {
						t.Errorf("foreseen to go to %q instead of %s", e.Chosen, test.at)
					}
					s.connectsAsForeseen(t, mode, test.connectData, e)
				})
			}
		})
	}
}

// connectsAsForeseen lets every driver connect and compares what it gets, and what is told of it, with what was foreseen.
func (s *scene) connectsAsForeseen(t *testing.T, mode, connectData string, e explanation) {
	t.Helper()
	for _, d := range loopers(t) {
		if connectData == "(SERVICE_NAME=sales)(INSTANCE_NAME=sales1)" && d.Name() == "python-oracledb" {
			continue // version 1 leaves INSTANCE_NAME out
		}
		tap := startTap(t, s.brokers[mode].address)
		results := work(t, d, visit(descriptorFor(tap.Address, connectData)), nil)
		at, err := visited(results)
		if (err == nil) != (e.Code == 0) || err == nil && !strings.HasPrefix(e.Chosen, at+"@") {
			t.Errorf("%s: at %q, %v; foreseen was %s %d %s", d.Name(), at, err, e.Outcome, e.Code, e.Chosen)
		}
		seen := tap.Sightings()
		if len(seen) == 0 {
			t.Fatalf("%s never came", d.Name())
		}
		s.brokers[mode].told(t, d, seen[len(seen)-1], results[0].Error, e)
	}
}

var (
	refOnTheWire = regexp.MustCompile(`\(REF=([0-9A-Z]{8})\)`)
	connectionID = regexp.MustCompile(`CONNECTION_ID=([^)\s]+)`)
)

// told finds the explanation of a connect by everything by which it can be found.
func (b *broker) told(t *testing.T, d Driver, seen stage.Sighting, driverSays string, e explanation) {
	t.Helper()
	var found []explanation
	eventually(t, patience, func() error { // it is kept once the answer is written
		found = b.search(t, "client", seen.Client)
		if len(found) == 0 {
			return errNotFound
		}
		return nil
	})
	first := found[0]
	asForeseen := first.Outcome == e.Outcome || e.Outcome == "hold" && first.Outcome == "refuse" // it waited in vain
	if len(found) != 1 || first.Client != seen.Client || !asForeseen || first.Code != e.Code {
		t.Errorf("%s: by its address %s is found: %+v, foreseen was %s %d", d.Name(), seen.Client, found, e.Outcome, e.Code)
	}
	if id := connectionID.FindStringSubmatch(driverSays); id != nil {
		if by := b.search(t, "connection_id", id[1]); len(by) == 0 || by[0].Ref != first.Ref {
			t.Errorf("%s says %q; by that CONNECTION_ID is found: %+v", d.Name(), driverSays, by)
		}
	} else if driverSays != "" && d.Name() == "node-oracledb" {
		t.Errorf("%s names no CONNECTION_ID: %q", d.Name(), driverSays)
	}
	if seen.Answer != stage.Refused {
		return
	}
	ref := refOnTheWire.FindStringSubmatch(seen.Text)
	if ref == nil {
		t.Fatalf("%s was refused without a REF: %q", d.Name(), seen.Text)
	}
	var byRef explanation
	must(t, b.getJSON("/api/v1/explain/"+ref[1], &byRef))
	if byRef.Client != seen.Client || byRef.Code != e.Code || ref[1] != first.Ref {
		t.Errorf("%s: REF %s explains %+v", d.Name(), ref[1], byRef)
	}
	if said := b.command(t, 0, "explain", "--ref", ref[1]); !strings.Contains(said, ref[1]) {
		t.Errorf("broker explain --ref %s says %s", ref[1], said)
	}
}

type notFound struct{}

func (notFound) Error() string { return "no explanation is found" }

var errNotFound error = notFound{}

// A connect that would wait is foreseen to wait; it waits, and is explained once it is let in.
func TestExplainedWhileHeld(t *testing.T) {
	s := startScene(t, "HOLD_TIMEOUT=20")
	s.databases[0].tell(t, "/services", servicesSetting{Drop: []string{"pdb1"}})
	for _, mode := range s.modes {
		b := s.brokers[mode]
		b.awaitService(t, "pdb1", "READY", 0)
		if e := b.foresee(t, b.descriptor("(SERVICE_NAME=pdb1)")); e.Outcome != "hold" {
			t.Errorf("%s: foreseen is %s %d %s", mode, e.Outcome, e.Code, e.Text)
		}
		load := Load{Drivers: loopers(t), Rate: fastRate, Service: "pdb1", Count: 1}.Start(t.Context(), s.taps[mode])
		b.awaitHeld(t, len(loopers(t)))
		waiting := b.held(t)
		s.databases[1].tell(t, "/services", servicesSetting{Add: []string{"pdb1"}})
		<-load.Ended()
		connects, err := load.Stop()
		must(t, err)
		for _, c := range connects {
			if c.Error != "" || c.Answer != "sales2" {
				t.Errorf("%s, %s: at %q, %s", mode, c.Driver, c.Answer, c.Error)
			}
		}
		for _, w := range waiting.Held {
			var e explanation
			must(t, b.getJSON("/api/v1/explain/"+w.Ref, &e))
			if e.Outcome != mode || e.Client != w.Client || !strings.HasPrefix(e.Chosen, "sales2@") {
				t.Errorf("%s: the connect that waited is told as %+v", mode, e)
			}
		}
		s.databases[1].tell(t, "/services", servicesSetting{Drop: []string{"pdb1"}})
	}
}

// Who is behind a server connection is told by the address that the instance sees.
func TestWhoIsTheClient(t *testing.T) {
	b, databases := pair(t)
	tap := startTap(t, b.address)
	session, err := GoOra{}.connect(t.Context(), open("c", descriptorFor(tap.Address, "(SERVICE_NAME=sales)(INSTANCE_NAME=sales1)")))
	must(t, err)
	defer session.close()
	var state struct {
		Sessions []struct {
			Client string `json:"client"`
		} `json:"sessions"`
	}
	must(t, databases[0].State(&state))
	if len(state.Sessions) != 1 {
		t.Fatalf("sessions of the database: %+v", state)
	}
	var list sessionList
	must(t, json.Unmarshal([]byte(b.command(t, 0, "--output", "json", "sessions", "--upstream", state.Sessions[0].Client)), &list))
	if len(list.Sessions) != 1 || list.Sessions[0].Client != tap.Sightings()[0].Client || list.Sessions[0].Service != "sales" {
		t.Errorf("behind %s is %+v, want the client from %s", state.Sessions[0].Client, list.Sessions, tap.Sightings()[0].Client)
	}
}
