package servicetable

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What holds of every answer about every table, whatever was asked.
func TestAnswersAreConsistent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table Table
		for range rapid.IntRange(0, 8).Draw(t, "registrations") {
			table.Apply(genRegistration(t))
		}
		s := table.Snapshot()
		if got, want := s.ServiceCount(), len(s.Services()); got != want {
			t.Fatalf("%d services counted, %d listed", got, want)
		}
		if !slices.IsSortedFunc(s.Registrations(), func(a, b *Registration) int {
			return strings.Compare(strings.ToLower(a.Key()), strings.ToLower(b.Key()))
		}) {
			t.Fatal("registrations are not sorted")
		}
		for _, q := range []Query{
			{Service: genName.Draw(t, "service")}, {SID: genInstance.Draw(t, "SID")},
			{SID: genInstance.Draw(t, "SID"), Server: "pooled", IgnoreStatus: true}, {Service: "s", Instance: "i1", Server: "shared"},
		} {
			found, err := s.Match(q)
			if (err == nil) != (len(found) > 0) {
				t.Fatalf("Match(%+v): %d candidates and error %v", q, len(found), err)
			}
			for _, c := range found {
				checkCandidate(t, s, q, c)
			}
		}
	})
}

func checkCandidate(t *rapid.T, s *Snapshot, q Query, c Candidate) {
	r := c.Registration
	if !slices.Contains(s.Registrations(), r) {
		t.Fatalf("%+v: a registration that is not in the table", q)
	}
	if c.Handler.Port == 0 || c.Status != r.Status(c.Service) {
		t.Fatalf("%+v: handler without address, or status %v of a service that is %v", q, c.Status, r.Status(c.Service))
	}
	if !q.IgnoreStatus && (c.Status == Blocked || c.Status == Restricted) {
		t.Fatalf("%+v: %v", q, c.Status)
	}
	if q.Service != "" {
		at := slices.IndexFunc(r.Services, func(o Service) bool { return o.Name == c.Service.Name })
		if !slices.Contains(c.Handler.Services, at) {
			t.Fatalf("%+v: handler %s does not serve %s", q, c.Handler.Name, c.Service.Name)
		}
		return
	}
	ordinary := slices.ContainsFunc(c.Handler.Services, func(i int) bool {
		return i < len(r.Services) && r.Services[i].Flags&FlagDispatchersOnly == 0
	})
	if !strings.EqualFold(r.Instance, q.SID) || !ordinary || c.Service.Flags&FlagDispatchersOnly != 0 {
		t.Fatalf("%+v: handler %s of %s for %s", q, c.Handler.Name, r.Instance, c.Service.Name)
	}
}
