package discovery

import (
	"fmt"
	"strings"
	"testing"

	"servicebroker/servicetable"
)

// instance is one that offers services, all of them ready, at port 1521 of its host.
func instance(name, host string, services ...string) servicetable.Registration {
	r := servicetable.Registration{ID: servicetable.ID(name + "@" + host), Instance: name, Host: host, Max: 100}
	h := servicetable.Handler{Name: "DEDICATED", Host: host, Port: 1521, Max: 50}
	for i, s := range services {
		r.Services = append(r.Services, servicetable.Service{Name: s, Flags: servicetable.FlagUnblocked, Goodness: 1, Delta: 1})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	return r
}

func summary(offers []Offer) string {
	var b strings.Builder
	for _, o := range offers {
		fmt.Fprintf(&b, "%s %s %s:%d %s", o.Service, o.Key, o.Address, o.Port, o.State)
		if !o.Live {
			b.WriteString(" (" + o.Closed + ")")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func wantOffers(t *testing.T, table *servicetable.Table, want string) {
	t.Helper()
	if got := summary(Offers(table.Snapshot())); got != want {
		t.Errorf("offers are\n%swant\n%s", got, want)
	}
}

func TestOffersAreSortedWhateverTheOrderOfRegistration(t *testing.T) {
	all := []servicetable.Registration{instance("S2", "db2", "Sales", "hr"), instance("s1", "db1", "sales"), instance("s3", "db3", "HR")}
	want := "hr S2@db2 db2:1521 ready\nHR s3@db3 db3:1521 ready\nsales s1@db1 db1:1521 ready\nSales S2@db2 db2:1521 ready\n"
	for first := range all {
		table := &servicetable.Table{}
		for i := range all {
			table.Apply(all[(first+i)%len(all)])
		}
		wantOffers(t, table, want)
	}
}

func TestOffersSayWhyAnInstanceIsClosed(t *testing.T) {
	table := &servicetable.Table{}
	for _, word := range []string{"blocked", "draining", "ejected", "full", "held", "nowhere", "ready", "restricted", "stale", "static"} {
		r := instance(word, "db", "sales")
		switch word {
		case "blocked":
			r.Services[0].Flags = 0
		case "restricted":
			r.Services[0].Flags |= servicetable.FlagRestricted
		case "draining":
			r.Marks = []servicetable.Mark{{Kind: servicetable.Ejected}, {Kind: servicetable.Draining, Cause: "patching"}}
		case "held":
			r.Services[0].Marks = []servicetable.Mark{{Kind: servicetable.Holding}}
		case "full":
			r.Handlers[0].Load = 50
		case "nowhere":
			r.Handlers[0].Port = 0
		case "stale":
			r.Stale = true
		case "static":
			r.Static = true
		}
		table.Apply(r)
	}
	table.Mark("ejected@db/DEDICATED", servicetable.Mark{Kind: servicetable.Ejected, Cause: "no answer"})
	wantOffers(t, table, `sales blocked@db db:1521 blocked (the instance says that it is blocked)
sales draining@db db:1521 draining (draining: patching)
sales ejected@db db:1521 ejected (ejected: no answer)
sales full@db db:1521 full (handler DEDICATED is at its maximum load)
sales held@db db:1521 holding (holding)
sales nowhere@db :0 unreachable (no handler has an address)
sales ready@db db:1521 ready
sales restricted@db db:1521 restricted (the instance says that it is restricted)
sales stale@db db:1521 stale
sales static@db db:1521 unknown
`)
	for _, o := range Offers(table.Snapshot()) {
		if o.Sure() != (o.Status == servicetable.Ready) {
			t.Errorf("%s: sure is %v", o.Key, o.Sure())
		}
	}
}

func TestAnInstanceRegisteredTwiceIsOneOfferTheLiveOne(t *testing.T) {
	table := &servicetable.Table{}
	closed, open := instance("s1", "db1", "sales"), instance("S1", "DB1", "SALES")
	closed.Services[0].Flags, closed.ID, open.ID = 0, "a", "b"
	table.Apply(closed)
	table.Apply(open)
	wantOffers(t, table, "SALES S1@DB1 DB1:1521 ready\n")
}

func TestTheListenerIsPreferredToDispatchersAndHandlersThatLeadElsewhere(t *testing.T) {
	r := instance("s1", "db1", "sales", "pdb")
	r.Handlers = append([]servicetable.Handler{
		{Name: "D000", Kind: servicetable.Dispatcher, Host: "db1", Port: 40001, Services: []int{0, 1}},
		{Name: "MOVED", Host: "db9", Port: 1521, Services: []int{1}},
	}, r.Handlers...)
	r.Handlers[2].Services = []int{0}
	table := &servicetable.Table{}
	table.Apply(r)
	wantOffers(t, table, "pdb s1@db1 db1:40001 ready\nsales s1@db1 db1:1521 ready\n")
	table.Mark("s1@db1/D000", servicetable.Mark{Kind: servicetable.Draining})
	wantOffers(t, table, "pdb s1@db1 db9:1521 ready\nsales s1@db1 db1:1521 ready\n")
}
