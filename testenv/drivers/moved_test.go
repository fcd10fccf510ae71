package drivers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// eventView is something that happened, as the API tells it.
type eventView struct {
	ID       uint64 `json:"id"`
	Kind     string `json:"kind"`
	Service  string `json:"service"`
	Instance string `json:"instance"`
	Detail   string `json:"detail"`
}

func (b *broker) events(t *testing.T, kind string) []eventView {
	t.Helper()
	var list struct {
		Events []eventView `json:"events"`
	}
	must(t, b.getJSON("/api/v1/events?kind="+kind, &list))
	return list.Events
}

// A service that leaves one instance and comes back on another has moved, once; sessions that were there stay, and new
// clients arrive at its new home. One that another instance begins to offer besides has not moved.
func TestMoveIsOneEvent(t *testing.T) {
	s := startScene(t)
	first, second := s.databases[0], s.databases[1]
	b := s.brokers[relaying]
	session := startLasting(t, b.descriptor("(SERVICE_NAME=pdb1)"))
	move := stage.Relocate("pdb1", first.Database, second.Database, 200*time.Millisecond)
	must(t, move.Strike(bound(t)))
	must(t, move.Heal(bound(t)))
	for _, mode := range s.modes {
		b := s.brokers[mode]
		eventually(t, patience, func() error {
			if moved := b.events(t, "moved"); len(moved) == 0 {
				return fmt.Errorf("no event tells of the move")
			}
			return nil
		})
		if at, err := visited(work(t, GoOra{}, visit(b.descriptor("(SERVICE_NAME=pdb1)")), nil)); err != nil || at != "sales2" {
			t.Errorf("%s: a new client arrives at %q, %v", mode, at, err)
		}
	}
	first.tell(t, "/services", servicesSetting{Add: []string{"pdb1"}}) // offered by both now
	for _, mode := range s.modes {
		b := s.brokers[mode]
		b.awaitService(t, "pdb1", "READY", 2)
		moved := b.events(t, "moved")
		if len(moved) != 1 || !strings.EqualFold(moved[0].Service, "pdb1") {
			t.Errorf("%s: moves: %+v", mode, moved)
		}
	}
	select {
	case <-session.over:
		t.Errorf("the session at the old home was cut at %v", session.cut)
	default:
	}
}
