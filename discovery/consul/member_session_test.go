package consul

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWhoRunsAfterwardsGoesOnWithTheSession(t *testing.T) {
	a := startAgent(t)
	file := filepath.Join(t.TempDir(), "session")
	other, _ := a.member(t, "cman2")
	eventually(t, 10*time.Second, "the lock", holder(other))
	dead := &Member{Client: a.client(t), Name: "cman1", SessionFile: file}
	b := &beat{Member: dead}
	if err := b.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	heir := &Member{Client: a.client(t), Name: "cman1", SessionFile: file}
	h := &beat{Member: heir}
	if err := h.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.session != b.session || !h.entered {
		t.Errorf("sessions %s and %s, entered %v", b.session, h.session, h.entered)
	}
	if brokers, err := heir.Brokers(t.Context()); err != nil || len(brokers) != 2 {
		t.Errorf("brokers are %v: %v", brokers, err)
	}
	h.leave(t.Context())
	if _, err := os.Stat(file); err == nil {
		t.Error("the session is still noted")
	}
}

func TestTheRightToWriteStaysWhenItIsPassedOn(t *testing.T) {
	a := startAgent(t)
	file := filepath.Join(t.TempDir(), "session")
	run := func() (*Member, func()) {
		m := &Member{Client: a.client(t), Name: "cman1", SessionFile: file}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }()
		stop := func() { cancel(); <-done }
		t.Cleanup(stop)
		return m, stop
	}
	old, end := run()
	eventually(t, 10*time.Second, "the lock", holder(old))
	other, _ := a.member(t, "cman2")
	before, _ := old.Lease()
	old.Pass()
	end()
	if _, held := old.Lease(); held {
		t.Error("it has passed on the right, and still has it")
	}
	successor, _ := run()
	eventually(t, 10*time.Second, "the lock", holder(successor, other))
	if after, held := successor.Lease(); !held || after != before {
		t.Errorf("lease %+v, was %+v", after, before)
	}
}

func TestASessionThatIsGoneIsReplaced(t *testing.T) {
	a := startAgent(t)
	file := filepath.Join(t.TempDir(), "session")
	if err := os.WriteFile(file, []byte("0b8a1c6e-0000-4000-8000-000000000001\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &beat{Member: &Member{Client: a.client(t), Name: "cman1", SessionFile: file}}
	eventually(t, 10*time.Second, "a session of its own", func() string {
		if err := b.once(t.Context()); err != nil {
			return err.Error()
		}
		if !b.entered || !b.holds {
			return fmt.Sprint(b.entered, b.holds)
		}
		return ""
	})
	b.leave(t.Context())
}

func TestANameThatAnotherHasIsTakenOnceItIsFree(t *testing.T) {
	a := startAgent(t)
	first, second := &beat{Member: &Member{Client: a.client(t), Name: "cman1"}}, &beat{Member: &Member{Client: a.client(t), Name: "cman1"}}
	for _, b := range []*beat{first, second} {
		if err := b.once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !first.entered || second.entered {
		t.Fatalf("entered: %v, %v", first.entered, second.entered)
	}
	first.leave(t.Context())
	eventually(t, 10*time.Second, "the name", func() string {
		second.registered = false
		if err := second.once(t.Context()); err != nil || !second.entered {
			return fmt.Sprint(err, second.entered)
		}
		return ""
	})
	second.leave(t.Context())
}
