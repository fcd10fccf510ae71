package registration

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

func TestRegistration(t *testing.T) {
	for _, name := range []string{"sid_4", "constructed-32le", "constructed-64be"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			r := b.connects(t, "127.0.0.1:4711").accepted()
			r.says(recording(t, name))
			synctest.Wait()
			got := b.registered()
			if len(got) != 1 {
				t.Fatalf("%d registrations\n%s", len(got), b.logged)
			}
			want := mustFold(t, recording(t, name))
			want.ID, want.Peer, want.ArrivedOn, want.LoadSource = got[0].ID, netip.MustParseAddr("127.0.0.1"), "192.0.2.1:1521", "registration"
			want.RegisteredAt, want.LoadAt = got[0].RegisteredAt, got[0].LoadAt
			if diff := cmp.Diff(want, got[0], cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			if got[0].ID == "" || got[0].RegisteredAt.IsZero() || got[0].LoadAt.IsZero() {
				t.Errorf("ID %q, registered %v, load %v", got[0].ID, got[0].RegisteredAt, got[0].LoadAt)
			}
			if err := r.leaves(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{"apply " + want.Instance, "drop"}, b.history); diff != "" {
				t.Error(diff)
			}
			checkLog(t, b, `msg="database registered"`, "peer=127.0.0.1:4711", "instance="+want.Instance, "host="+want.Host, "services=", `msg="registration died"`, `cause="connection closed"`)
		})
	}
}

// checkLog looks for texts in the log, in order.
func checkLog(t *testing.T, b *broker, texts ...string) {
	t.Helper()
	rest := b.logged.String()
	for _, text := range texts {
		_, after, found := strings.Cut(rest, text)
		if !found {
			t.Errorf("no %q in\n%s", text, rest)
			return
		}
		rest = after
	}
}

func TestTwoRegistrationsOfOneService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		first := b.connects(t, "127.0.0.1:1").accepted()
		second := b.connects(t, "127.0.0.1:2").accepted()
		first.says(encode(t, sales("one", 1)))
		second.says(encode(t, sales("one", 2))) // the very same names: still two
		synctest.Wait()
		if got := b.registered(); len(got) != 2 || got[0].ID == got[1].ID || got[0].Load+got[1].Load != 3 {
			t.Fatalf("%v", got)
		}
		first.leaves()
		if got := b.registered(); len(got) != 1 || got[0].Load != 2 {
			t.Errorf("%v", got)
		}
		second.leaves()
		if got := b.registered(); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "192.0.2.66:4711")
		refuse, ok := r.reply().(*tns.Refuse)
		if !ok || refuse.Code() != tns.CodeRegistrationRejected || !strings.Contains(refuse.Text, "(ERROR_STACK=(ERROR=(CODE=1182)") || len(refuse.Text) > 230 {
			t.Fatalf("%+v", refuse)
		}
		if err := r.leaves(); err != nil {
			t.Error(err)
		}
		if len(b.history) != 0 || b.count(Refused) != 1 {
			t.Errorf("table %v, %d refusals", b.history, b.count(Refused))
		}
		checkLog(t, b, `msg="registration refused"`, "peer=192.0.2.66:4711", "code=ORA-01182", "neither this host's own address nor invited", "REGISTRATION_INVITED_NODES=192.0.2.66")
	})
}

// A scanner that does not read the refusal, or goes on to send, holds nobody up.
func TestRefusedPeersAreNotWaitedFor(t *testing.T) {
	for _, sends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			r := b.connects(t, "192.0.2.66:4711")
			if sends {
				r.reply()
				r.says(recording(t, "sid_4"))
			}
			err := <-r.done
			if (err == nil) != sends || len(b.history) != 0 {
				t.Errorf("table %v, %v", b.history, err)
			}
		})
	}
}

func TestListThatCannotBeReadAdmitsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Admit = &Admission{Mode: CheckOff, Excluded: []string{"10.1"}}
		r := b.connects(t, "127.0.0.1:1")
		if m, ok := r.reply().(*tns.Refuse); !ok {
			t.Errorf("%T", m)
		}
		r.leaves()
		checkLog(t, b, "REGISTRATION_EXCLUDED_NODES", "10.1")
	})
}

func TestCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Admit.Mode = CheckOff
		b.MaxPerPeer, b.MaxRegistrations = 2, 3
		one := b.connects(t, "192.0.2.1:1").accepted()
		b.connects(t, "192.0.2.1:2").accepted()
		refused := func(from string) {
			t.Helper()
			r := b.connects(t, from)
			if m, ok := r.reply().(*tns.Refuse); !ok || m.Code() != tns.CodeLimit {
				t.Errorf("%s: %+v", from, m)
			}
			r.leaves()
		}
		refused("192.0.2.1:3")
		b.connects(t, "192.0.2.2:1").accepted()
		refused("192.0.2.3:1")
		one.leaves()
		b.connects(t, "192.0.2.3:2").accepted()
		checkLog(t, b, "too many registration connections", "MAX_REG_CONNECTIONS")
	})
}

// Who says nothing makes room for who comes next, the longest first; who has spoken stays.
func TestTheWordlessMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Admit.Mode = CheckOff
		b.MaxPerPeer, b.MaxRegistrations = 2, 3
		speaks := b.connects(t, "192.0.2.1:1").accepted()
		speaks.says(recording(t, "sid_4"))
		synctest.Wait()
		silent := b.connects(t, "192.0.2.1:2").accepted()
		<-time.After(yieldAfter)
		third := b.connects(t, "192.0.2.1:3").accepted()
		<-silent.done // it is gone
		if b.Registrants() != 2 {
			t.Errorf("%d are there", b.Registrants())
		}
		other := b.connects(t, "192.0.2.2:1").accepted()
		<-time.After(yieldAfter)
		b.connects(t, "192.0.2.3:1").accepted() // instead of anybody's
		<-third.done
		other.leaves()
		speaks.leaves()
	})
}

// Where there is no room for one more, it is told so; and messages wait until they may be worked on.
func TestRoomAndPaceAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Admit.Mode = CheckOff
		worked := 0
		b.Paced = func(context.Context) func() { return func() { worked++ } }
		b.Full = func(peer netip.Addr) (why, remedy string) {
			if peer == netip.MustParseAddr("192.0.2.9") {
				return "memory is short", "buy some"
			}
			return "", ""
		}
		r := b.connects(t, "192.0.2.1:1").accepted()
		r.says(recording(t, "sid_4"))
		synctest.Wait()
		if worked == 0 || len(b.history) == 0 {
			t.Errorf("%d messages, table %v", worked, b.history)
		}
		refused := b.connects(t, "192.0.2.9:1")
		if m, ok := refused.reply().(*tns.Refuse); !ok || m.Code() != tns.CodeLimit {
			t.Errorf("%+v", m)
		}
		refused.leaves()
		checkLog(t, b, "memory is short", "buy some")
	})
}

func TestDefaultCaps(t *testing.T) {
	var s Server
	n := 0
	peer := netip.MustParseAddr("10.0.0.1")
	for s.occupy(peer) {
		n++
	}
	other := peer.Next()
	for s.occupy(other) {
		n++
	}
	if n != defaultRegistrations || s.perPeer[peer] != defaultPerPeer {
		t.Errorf("%d in all, %d from one address", n, s.perPeer[peer])
	}
	for range defaultPerPeer {
		s.vacate(peer)
		s.vacate(other)
	}
	if s.total != 0 || len(s.perPeer) != 0 {
		t.Errorf("%d left, %v", s.total, s.perPeer)
	}
}

func TestIDsDoNotComeAgain(t *testing.T) {
	var s Server
	seen := map[servicetable.ID]bool{}
	for range 100 {
		id := s.newID(netip.MustParseAddrPort("127.0.0.1:1"))
		if seen[id] {
			t.Fatalf("%s came again", id)
		}
		seen[id] = true
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		version, lowest uint16
		accepted        bool
	}{{313, 300, true}, {314, 300, true}, {315, 300, true}, {318, 300, true}, {319, 300, true}, {400, 300, true}, {400, 400, false}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			r := b.connectsWith(t, "127.0.0.1:1", &tns.Connect{Version: c.version, Lowest: c.lowest, SDU: 2048, TDU: 2048, Data: []byte(plainConnect)})
			accept, ok := r.reply().(*tns.Accept)
			if ok != c.accepted || ok && accept.Version != min(c.version, 319) {
				t.Fatalf("version %d, lowest %d: %+v", c.version, c.lowest, accept)
			}
			if ok {
				r.says(recording(t, "sid_4"))
				synctest.Wait()
				if len(b.registered()) != 1 {
					t.Errorf("version %d: not registered\n%s", c.version, b.logged)
				}
			}
			r.leaves()
		})
	}
}

func TestAgentsAreToldFromDatabases(t *testing.T) {
	for data, want := range map[string]string{
		plainConnect: "registration",
		"(CONNECT_DATA=(CID=(PROGRAM=servicebroker-agent)(HOST=h))(COMMAND=service_register_NSGR))":       "agent",
		"(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=servicebroker-agent))(COMMAND=SERVICE_REGISTER_NSGR)))": "agent",
		"(CONNECT_DATA=(CID=(PROGRAM=oracle@db1)(HOST=h))(COMMAND=service_register_NSGR))":                "registration",
		"not a descriptor": "registration",
	} {
		if got := sourceOf(&tns.Connect{Data: []byte(data)}); got != want {
			t.Errorf("%s: %s, want %s", data, got, want)
		}
	}
}

func TestBrokerEndsRegistrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		ctx, cancel := context.WithCancel(t.Context())
		b.ctx = ctx
		silent := b.connects(t, "127.0.0.1:1").accepted()
		known := b.connects(t, "127.0.0.1:2").accepted()
		known.says(recording(t, "sid_4"))
		synctest.Wait()
		cancel()
		if err := errors.Join(<-silent.done, <-known.done); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"apply orcl", "drop"}, b.history); diff != "" {
			t.Error(diff)
		}
		checkLog(t, b, "registration died", `cause="the broker ended it"`)
	})
}
