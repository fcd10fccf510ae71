package journal

import (
	"strings"
	"testing"
)

// Whoever is told of events is told of each as it is kept, and may look into the journal then.
func TestAddedIsToldOfEachEvent(t *testing.T) {
	var told []Event
	j := &Journal{MaxEvents: 2, MaxExplanations: 3}
	j.Added = func(e Event) {
		if j.Last() != e.ID {
			t.Errorf("event %d is told when %d is the newest", e.ID, j.Last())
		}
		told = append(told, e)
	}
	for _, kind := range []Kind{Registered, Moved, Died} {
		j.Add(Event{Kind: kind, Cause: strings.Repeat("x", 5000)})
	}
	if len(told) != 3 || told[0].ID != 1 || told[2].Kind != Died || told[1].Time.IsZero() || len(told[1].Cause) > maxDetail {
		t.Errorf("%+v", told)
	}
	for range 5 {
		j.Keep(&Explanation{})
	}
	if events, explanations := j.Sizes(); events != 2 || explanations != 3 {
		t.Errorf("%d events and %d explanations", events, explanations)
	}
	if events, explanations := new(Journal).Sizes(); events != 0 || explanations != 0 {
		t.Errorf("an empty one has %d and %d", events, explanations)
	}
}
