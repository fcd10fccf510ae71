package drivers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// way is one way of saying where to connect to.
type way struct {
	name     string
	target   func(address string) string
	instance string            // where one must arrive; empty: any of sales1 and sales2
	not      map[string]string // drivers that cannot say it so, with the reason
}

// to makes targets of one address.
func to(connectData string) func(string) string {
	return func(address string) string { return descriptorFor(address, connectData) }
}

// deadAddress is one where nobody can listen without being root, and nobody does.
const deadAddress = "(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=1))"

func ways() []way {
	noInstance := map[string]string{"python-oracledb": "version 1 leaves INSTANCE_NAME out"}
	noEasyConnect := map[string]string{"go-ora": "takes URLs instead of Easy Connect Plus"}
	return []way{
		{name: "service", target: to("(SERVICE_NAME=sales)")},
		{name: "service in capitals", target: to("(SERVICE_NAME=SALES)")},
		{name: "service in mixed case", target: to("(SERVICE_NAME=mIXEDcASE)")},
		{name: "service with its domain", target: to("(SERVICE_NAME=orders.example.com)")},
		{name: "service and domain in capitals", target: to("(SERVICE_NAME=ORDERS.Example.COM)")},
		{name: "service without its domain", target: to("(SERVICE_NAME=orders)")},
		{name: "sid", target: to("(SID=sales2)"), instance: "sales2"},
		{name: "sid in capitals", target: to("(SID=SALES1)"), instance: "sales1"},
		{name: "instance 1", target: to("(SERVICE_NAME=sales)(INSTANCE_NAME=sales1)"), instance: "sales1", not: noInstance},
		{name: "instance 2", target: to("(SERVICE_NAME=sales)(INSTANCE_NAME=sales2)"), instance: "sales2", not: noInstance},
		{name: "dedicated", target: to("(SERVICE_NAME=sales)(SERVER=DEDICATED)")},
		{name: "pooled", target: to("(SERVICE_NAME=sales)(SERVER=POOLED)")},
		{name: "with program", target: to("(SERVICE_NAME=sales)(CID=(PROGRAM=billing run)(HOST=client1)(USER=scott))")},
		{name: "easy connect", target: func(a string) string { return a + "/sales" }},
		{name: "easy connect pooled", target: func(a string) string { return a + "/sales:pooled" }, not: noEasyConnect},
		{name: "easy connect dedicated", target: func(a string) string { return a + "/sales:dedicated" }, not: noEasyConnect},
		{name: "easy connect with protocol", target: func(a string) string { return "tcp://" + a + "/orders.example.com" }, not: noEasyConnect},
		{name: "easy connect with instance", target: func(a string) string { return a + "/sales:dedicated/sales2" }, instance: "sales2",
			not: map[string]string{"python-oracledb": noInstance["python-oracledb"], "go-ora": noEasyConnect["go-ora"]}},
		{name: "description list", target: func(a string) string {
			return "(DESCRIPTION_LIST=" + descriptorFor(a, "(SERVICE_NAME=sales)") + ")"
		}},
		{name: "address list, first one dead", target: func(a string) string {
			return "(DESCRIPTION=(ADDRESS_LIST=" + deadAddress + addressText(a) + ")(CONNECT_DATA=(SERVICE_NAME=sales)))"
		}},
		{name: "addresses, first one dead", target: func(a string) string {
			return "(DESCRIPTION=" + deadAddress + addressText(a) + "(CONNECT_DATA=(SERVICE_NAME=sales)))"
		}},
		{name: "description parameters", target: func(a string) string {
			return "(DESCRIPTION=(CONNECT_TIMEOUT=10)(TRANSPORT_CONNECT_TIMEOUT=5)(RETRY_COUNT=1)(RETRY_DELAY=1)(SDU=16384)(EXPIRE_TIME=2)(LOAD_BALANCE=OFF)(FAILOVER=ON)" +
				addressText(a) + "(CONNECT_DATA=(SERVICE_NAME=sales)))"
		}},
		{name: "blanks and newlines", target: func(a string) string {
			return "(description =\n  " + addressText(a) + "\n  (connect_data =\n    (service_name = sales)\n    (server = dedicated)))"
		}},
	}
}

// Every driver gets in by every way its users have of naming a database.
func TestWaysToConnect(t *testing.T) {
	l := startLandscape(t)
	eachDriver(t, func(t *testing.T, d Driver) {
		l.eachMode(t, func(t *testing.T, b *broker) {
			var tried []way
			var steps []Step
			for _, w := range ways() {
				if w.not[d.Name()] == "" {
					tried = append(tried, w)
					steps = append(steps, visit(w.target(b.address))...)
				}
			}
			results := work(t, d, steps, nil)
			for i, w := range tried {
				t.Run(w.name, func(t *testing.T) {
					at, err := visited(results[3*i : 3*i+3])
					switch {
					case err != nil:
						t.Error(err)
					case w.instance != "" && at != w.instance:
						t.Errorf("arrived at %s instead of %s", at, w.instance)
					case !slices.Contains([]string{"sales1", "sales2"}, at):
						t.Errorf("arrived at %s", at)
					}
				})
			}
		})
	})

	t.Run("balance", func(t *testing.T) { testBalance(t, l) })
	t.Run("long descriptors", func(t *testing.T) { testLongDescriptors(t, l) })
	t.Run("refusals", func(t *testing.T) { testRefusals(t, l) })
	t.Run("sessions", func(t *testing.T) { testSessionList(t, l) })
}

// Connects of one service reach both instances.
func testBalance(t *testing.T, l *landscape) {
	eachDriver(t, func(t *testing.T, d Driver) {
		l.eachMode(t, func(t *testing.T, b *broker) {
			const connects = 20
			var steps []Step
			for range connects {
				steps = append(steps, visit(b.descriptor("(SERVICE_NAME=sales)"))...)
			}
			results := work(t, d, steps, nil)
			reached := map[string]int{}
			for i := range connects {
				at, err := visited(results[3*i : 3*i+3])
				if err != nil {
					t.Fatalf("connect %d: %v", i, err)
				}
				reached[at]++
			}
			if len(reached) != 2 || reached["sales1"] < 3 || reached["sales2"] < 3 {
				t.Errorf("%d connects went to %v, not to both", connects, reached)
			}
		})
	})
}

// longDescriptor makes a descriptor whose connect data is long in the way this
// driver sends on: node-oracledb sends one address and CONNECT_DATA as written,
// the others all addresses (tns.md 8).
func longDescriptor(driver, address string, length int) string {
	const connectData = "(SERVICE_NAME=sales)"
	if driver == "node-oracledb" {
		return descriptorFor(address, connectData+"(PADDING="+strings.Repeat("x", length)+")")
	}
	d := "(DESCRIPTION=(ADDRESS_LIST=" + addressText(address)
	for len(d) < length {
		d += deadAddress // never tried, since the first one answers
	}
	return d + ")(CONNECT_DATA=" + connectData + "))"
}

// Connect data too long for its packet follows in others.
func testLongDescriptors(t *testing.T, l *landscape) {
	eachDriver(t, func(t *testing.T, d Driver) {
		lengths := []int{231, 2100, 9000, 30_000}
		if d.Name() == "node-oracledb" {
			lengths = []int{231, 2100, 3600} // it refuses more than 4,096 bytes itself
		}
		l.eachMode(t, func(t *testing.T, b *broker) {
			var steps []Step
			var recorders []*recorder
			for _, length := range lengths {
				r := startRecorder(t, b)
				recorders = append(recorders, r)
				steps = append(steps, visit(longDescriptor(d.Name(), r.address, length))...)
			}
			results := work(t, d, steps, nil)
			for i, length := range lengths {
				if _, err := visited(results[3*i : 3*i+3]); err != nil {
					t.Errorf("%d bytes: %v", length, err)
				}
				if sent := recorders[i].longest(); sent < length {
					t.Errorf("only %d bytes of connect data were sent instead of %d", sent, length)
				}
			}
		})
	})
}

// refusal is a connect that must fail, and how each driver words the reason.
type refusal struct {
	name                string
	connectData         string
	password            string
	node, python, goOra string // empty: the driver cannot ask for this
}

// oraAs makes a refusal whose code the drivers pass on in their usual form.
func oraAs(name, connectData, code string) refusal {
	return refusal{name: name, connectData: connectData, node: "ORA-" + code, python: "Similar to ORA-" + code, goOra: "ORA-" + code}
}

func refusals() []refusal {
	return []refusal{
		{name: "unknown service", connectData: "(SERVICE_NAME=nosuch)", node: "NJS-518", python: "DPY-6001", goOra: "ORA-12514"},
		{name: "unknown service and instance", connectData: "(SERVICE_NAME=nosuch)(INSTANCE_NAME=sales1)", node: "NJS-518", python: "DPY-6001", goOra: "ORA-12514"},
		{name: "unknown sid", connectData: "(SID=nosuch)", node: "NJS-519", python: "DPY-6003", goOra: "ORA-12505"},
		{name: "unknown instance", connectData: "(SERVICE_NAME=sales)(INSTANCE_NAME=sales9)", node: "ORA-12521", goOra: "ORA-12521"},
		oraAs("blocked", "(SERVICE_NAME=closed)", "12528"),
		oraAs("restricted", "(SERVICE_NAME=patching)", "12526"),
		oraAs("shared without dispatchers", "(SERVICE_NAME=sales)(SERVER=SHARED)", "12520"),
		{name: "wrong password", connectData: "(SERVICE_NAME=sales)", password: "wrong", node: "ORA-01017", python: "ORA-01017", goOra: "ORA-01017"},
	}
}

// A connect that cannot be is refused with the code that says why, in the words
// of each driver, and the next one succeeds.
func testRefusals(t *testing.T, l *landscape) {
	eachDriver(t, func(t *testing.T, d Driver) {
		l.eachMode(t, func(t *testing.T, b *broker) {
			var steps []Step
			for _, r := range refusals() {
				attempt := open("c", b.descriptor(r.connectData))
				if r.password != "" {
					attempt.Password = r.password
				}
				steps = append(steps, attempt)
			}
			tries := len(steps)
			steps = append(steps, visit(b.descriptor("(SERVICE_NAME=sales)"))...)
			results := work(t, d, steps, nil)
			for i, r := range refusals() {
				t.Run(r.name, func(t *testing.T) {
					want, said := map[string]string{"node-oracledb": r.node, "python-oracledb": r.python, "go-ora": r.goOra}[d.Name()], results[i].Error
					if want == "" {
						return // python-oracledb 1 leaves INSTANCE_NAME out
					}
					if !strings.Contains(said, want) {
						t.Errorf("it says %q, want %s", said, want)
					}
				})
			}
			if _, err := visited(results[tries:]); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	})
}

// A relayed session is listed while it lasts; a redirected one is no affair of the
// broker's.
func testSessionList(t *testing.T, l *landscape) {
	eachDriver(t, func(t *testing.T, d Driver) {
		l.eachMode(t, func(t *testing.T, b *broker) {
			b.awaitNoSessions(t)
			talk := converse(t, d)
			steps := visit(b.descriptor("(SERVICE_NAME=SALES)"))
			results := talk.all(steps[:2])
			seen := sessionList{}
			must(t, b.getJSON("/api/v1/sessions", &seen))
			results = append(results, talk.all(steps[2:])...)
			must(t, talk.End())
			b.awaitNoSessions(t)
			at, err := visited(results)
			must(t, err)
			if b == l.brokers[redirecting] {
				if len(seen.Sessions) != 0 {
					t.Errorf("a redirected session is listed: %+v", seen.Sessions)
				}
				return
			}
			if len(seen.Sessions) != 1 {
				t.Fatalf("sessions while one was open: %+v", seen.Sessions)
			}
			s := seen.Sessions[0]
			if s.Service != "sales" || !strings.HasPrefix(s.Instance, at+"@") || !strings.HasPrefix(s.Client, "127.0.0.1:") || s.ID == "" || s.FromClient < 100 || s.ToClient < 100 {
				t.Errorf("the session is shown as %+v", s)
			}
		})
	})
}

func (b *broker) awaitNoSessions(t *testing.T) {
	t.Helper()
	eventually(t, patience, func() error {
		var list sessionList
		err := b.getJSON("/api/v1/sessions", &list)
		if err == nil && len(list.Sessions) > 0 {
			err = fmt.Errorf("there are sessions: %+v", list.Sessions)
		}
		return err
	})
}
