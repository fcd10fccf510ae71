package registration

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

// Who was admitted earlier is refused for what is known of the lists alone, and not while no name service says who is invited.
func TestWhoRegisteredEarlierIsAdmittedWhileNobodyKnowsNames(t *testing.T) {
	for _, c := range []struct {
		name              string
		mode              CheckMode
		invited, excluded string
		transports, peer  string
		want              bool
	}{
		{"invited by a name", CheckLocal, "slow", "", "", "192.0.2.13", true},
		{"one name of several is not answered", CheckLocal, "db1,nowhere,slow", "", "", "192.0.2.13", true},
		{"all are excluded but a name", CheckOff, "slow", "*", "", "192.0.2.13", true},
		{"over TCPS alone", CheckLocal, "slow", "", "TCPS", "192.0.2.13", true},
		{"over Unix sockets alone", CheckLocal, "slow", "", "IPC", "192.0.2.13", false},
		{"the name is another's", CheckLocal, "db1", "", "", "192.0.2.13", false},
		{"the name is its own", CheckLocal, "db1", "", "", "192.0.2.11", true},
		{"there is no such name", CheckLocal, "nowhere", "", "", "192.0.2.13", false},
		{"nobody is invited", CheckLocal, "", "", "", "192.0.2.13", false},
		{"excluded by its address", CheckOff, "db1", "192.0.2.13", "", "192.0.2.13", false},
		{"excluded by a name, perhaps", CheckOff, "", "slow", "", "192.0.2.13", true},
		{"neither invited, nor excluded by a name for sure", CheckLocal, "", "slow", "", "192.0.2.13", false},
	} {
		s := &Server{Admit: &Admission{
			Mode: c.mode, Invited: list(c.invited), Excluded: list(c.excluded), Transports: list(c.transports), Resolve: someNames, Interfaces: twoNetworks,
		}}
		if got := s.Admits(t.Context())(&servicetable.Registration{Peer: netip.MustParseAddr(c.peer)}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if local := s.Admits(t.Context())(&servicetable.Registration{}); local != (c.transports == "IPC") {
			t.Errorf("%s: by a Unix socket %v", c.name, local)
		}
	}
}

// However many registered earlier, names that nobody answers for are waited for once.
func TestWhoRegisteredEarlierWaitsForNamesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Admit: &Admission{Resolve: (&resolver{takes: time.Hour}).resolve, Interfaces: twoNetworks}}
		for i := range 20 * maxLookups {
			s.Admit.Invited = append(s.Admit.Invited, "db"+string(rune('a'+i%26))+string(rune('a'+i/26)))
		}
		began := time.Now()
		admits := s.Admits(t.Context())
		for i := range 100 {
			if !admits(&servicetable.Registration{Peer: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}) {
				t.Errorf("192.0.2.%d is refused", i)
			}
		}
		if took := time.Since(began); took > 3*lookupTime {
			t.Errorf("it took %v", took)
		}
	})
}

// A name that comes to mean something is told once, whoever finds it out, so that those can be judged again who were judged without.
func TestNamesThatBecomeKnownAreTold(t *testing.T) {
	for _, found := range []string{"by itself", "by who comes next"} {
		synctest.Test(t, func(t *testing.T) {
			g := mustRegistrants(t, RegistrantRule{Name: "prod", Sources: []string{"db1"}, Services: []string{"sales"}, Handlers: []string{"10.1.*", "inside"}})
			silent := resolver{takes: time.Hour}
			g.Resolve = silent.resolve
			r := from("10.1.2.3", "10.1.2.3", "sales")
			learns := func(want bool, quarantined bool) {
				t.Helper()
				pass(lookupFresh)
				if found == "by who comes next" {
					g.Refresh(t.Context(), []*servicetable.Registration{r})
				}
				if got := g.Learn(t.Context()); got != want {
					t.Errorf("found %s: something became known: %v", found, got)
				}
				if judge(g, r); slices.ContainsFunc(r.Services[0].Marks, isQuarantined) != quarantined {
					t.Errorf("found %s: %s", found, verdictOn(r))
				}
			}
			learns(false, true)
			learns(false, true)
			silent.takes = 0
			silent.says(func() ([]netip.Addr, error) { return nil, &net.DNSError{IsNotFound: true} })
			learns(false, true)
			silent.says(address("10.1.2.3"))
			learns(true, false)
			g.Learn(t.Context()) // names of handlers, which nobody had asked for until that was let in
			learns(false, false)
		})
	}
	if (*Registrants)(nil).Learn(context.Background()) || new(Registrants).Learn(context.Background()) {
		t.Error("without rules something became known")
	}
}
