package limits

import "testing"

func TestSlotsAreSharedOut(t *testing.T) {
	s := &Slots{Most: 3, Each: 2}
	first := s.Take(one)
	if first == nil || s.Take(one) == nil || s.Take(one) != nil {
		t.Error("one source may have two")
	}
	if s.Take(two) == nil || s.Take(two) != nil {
		t.Error("there are three in all")
	}
	first.Release()
	first.Release()
	if s.Take(two) == nil || s.Take(one) != nil {
		t.Error("one has become free, and one alone")
	}
	var none *SlotTaken
	none.Release()
}
