package intent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func shared(kind Kind, service string) Intent {
	return Intent{Kind: kind, Target: Target{Service: service}, Created: longAgo}
}

func TestKeysAreThoseOfWhatReplacesEachOther(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "A", "b,c", "b", "c=d", "é", "É", "a b", "~", "a&20b", "...", ".", "s1@db1:1"})
	anything := rapid.Custom(func(t *rapid.T) Intent {
		return Intent{Kind: rapid.SampledFrom(Kinds()).Draw(t, "kind"), Target: Target{
			Database: word.Draw(t, "database"), Service: word.Draw(t, "service"), Instance: word.Draw(t, "instance"), Quarantine: word.Draw(t, "quarantine"),
		}}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := anything.Draw(t, "a"), anything.Draw(t, "b")
		same := a.Key() == b.Key()
		if a.Target.Quarantine == "" && same != replaces(a, b) || a.Target.Quarantine != "" && same != sameName(a.Target.Quarantine, b.Target.Quarantine) {
			t.Fatalf("%v and %v have keys %s and %s", a, b, a.Key(), b.Key())
		}
		if strings.Trim(a.Key(), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=,/&") != "" || strings.Contains(a.Key(), "..") {
			t.Fatalf("%v has the key %s", a, a.Key())
		}
	})
	long := Intent{Kind: Drain, Target: Target{Service: strings.Repeat("é", 128), Node: "x"}}
	other := long
	other.Target.Node = "y"
	if len(long.Key()) > maxKey || long.Key() == other.Key() || !strings.HasPrefix(long.Key(), "drain/") {
		t.Errorf("%s, %s", long.Key(), other.Key())
	}
}

func TestMergedIntentsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.json")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	own, err := s.Add(Intent{Kind: Drain, Target: Target{Service: "SALES"}})
	if err != nil {
		t.Fatal(err)
	}
	drain, weight := shared(Drain, "sales"), shared(Weight, "hr")
	drain.Reason, weight.Value, weight.Deadline = "patching", 50, longAgo.Add(time.Hour)
	changed, removed, err := s.Merge([]Intent{drain, weight}, []string{"hold/service=none"})
	if err != nil || len(changed) != 2 || len(removed) != 0 || changed[0].ID != own.ID || changed[0].Reason != "patching" || !changed[0].Created.Equal(longAgo) {
		t.Fatalf("changed %v, removed %v: %v", changed, removed, err)
	}
	if changed, removed, err := s.Merge([]Intent{drain, weight}, nil); err != nil || len(changed)+len(removed) != 0 {
		t.Errorf("the same again: changed %v, removed %v: %v", changed, removed, err)
	}
	again, err := Open(path)
	if err != nil || len(again.All()) != 2 || again.All()[1].Value != 50 {
		t.Errorf("on disk are %v: %v", again.All(), err)
	}
	_, removed, err = s.Merge(nil, []string{drain.Key(), weight.Key()})
	if err != nil || len(removed) != 2 || len(s.All()) != 0 {
		t.Errorf("removed %v, left %v: %v", removed, s.All(), err)
	}
	if next, err := s.Add(Intent{Kind: Drain, Target: Target{Service: "x"}}); err != nil || next.ID == own.ID {
		t.Errorf("an ID is given out twice: %v, %v", next, err)
	}
}

// What others have set holds where it cannot be kept: they do not say it again.
func TestMergedIntentsHoldWhereTheyCannotBeKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.json")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	drain, hold := shared(Drain, "sales"), shared(Hold, "hr")
	if _, _, err := s.Merge([]Intent{drain}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path+".new", "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	changed, removed, err := s.Merge([]Intent{hold}, []string{drain.Key()})
	if err == nil || len(changed) != 1 || len(removed) != 1 || len(s.All()) != 1 || s.All()[0].Kind != Hold {
		t.Errorf("changed %v, removed %v, all %v: %v", changed, removed, s.All(), err)
	}
	if err := os.RemoveAll(path + ".new"); err != nil {
		t.Fatal(err)
	}
	own := add(t, s, Intent{Kind: Drain, Target: Target{Service: "x"}})
	again, err := Open(path)
	if err != nil || len(again.All()) != 2 || own.ID == changed[0].ID {
		t.Errorf("on disk are %v: %v", again.All(), err)
	}
}

// What no file can have keeps nothing else from being kept.
func TestTimesThatCannotBeKeptAreLeftOutOfMerges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.json")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	late, odd := shared(Drain, "late"), shared(Drain, "odd")
	late.Created = time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
	odd.Created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 24*3600))
	changed, _, err := s.Merge([]Intent{late, odd, shared(Drain, "sales")}, nil)
	if err == nil || !strings.Contains(err.Error(), "created is in the year 10000") || len(changed) != 2 {
		t.Errorf("%v, %v", changed, err)
	}
	if again, err := Open(path); err != nil || len(again.All()) != 2 || !again.All()[0].Created.Equal(odd.Created) {
		t.Errorf("on disk are %v: %v", again.All(), err)
	}
}

func TestDecisionsReplaceEachOtherWhenMerged(t *testing.T) {
	s := &Store{}
	yes := Intent{Kind: Approve, Target: Target{Quarantine: "abc"}, Created: longAgo}
	no := yes
	no.Kind = Reject
	if _, _, err := s.Merge([]Intent{yes}, nil); err != nil {
		t.Fatal(err)
	}
	changed, removed, err := s.Merge([]Intent{no}, nil)
	if err != nil || len(changed) != 1 || len(removed) != 1 || len(s.All()) != 1 || s.All()[0].Kind != Reject || s.All()[0].ID == removed[0].ID {
		t.Errorf("changed %v, removed %v, all %v: %v", changed, removed, s.All(), err)
	}
}

func TestWhatNoStoreTakesIsLeftOut(t *testing.T) {
	s := &Store{}
	bad := shared("bewitch", "sales")
	changed, _, err := s.Merge([]Intent{bad, shared(Hold, "hr"), shared(Drain, "x\ny")}, nil)
	if err == nil || !strings.Contains(err.Error(), "bewitch") || len(changed) != 1 || len(s.All()) != 1 {
		t.Errorf("changed %v, all %v: %v", changed, s.All(), err)
	}
	if bad.Check() == nil || shared(Hold, "hr").Check() != nil {
		t.Error("Check says otherwise")
	}
	var many []Intent
	for n := range maxIntents {
		many = append(many, Intent{Kind: Drain, Target: Target{Service: "s" + newID(Drain, uint64(n))}, Created: longAgo})
	}
	if _, _, err := s.Merge(many, nil); !errors.Is(err, ErrTooMany) || len(s.All()) != maxIntents {
		t.Errorf("%d are kept: %v", len(s.All()), err)
	}
}
