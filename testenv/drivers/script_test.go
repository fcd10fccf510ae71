package drivers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Every driver tells of steps that cannot be done, and goes on with the next.
func TestStepsThatCannotBeDone(t *testing.T) {
	nobody := freeAddress(t)
	eachDriver(t, func(t *testing.T, d Driver) {
		seen := 0
		results := work(t, d, []Step{
			do(Ping, "nobody"),
			open("c", descriptorFor(nobody, "(SERVICE_NAME=sales)")),
			do(Close, "c"),
			{Do: "dance", On: "c"},
		}, func(i int, r Result) {
			if i != seen {
				t.Errorf("result %d came in place %d", i, seen)
			}
			seen++
		})
		if seen != 4 {
			t.Errorf("%d results were handed on", seen)
		}
		for i, want := range []string{"nobody", "", "", ""} {
			if results[i].Error == "" || !strings.Contains(results[i].Error, want) {
				t.Errorf("step %d: it says %q, want a word of %q", i, results[i].Error, want)
			}
		}
	})
}

// A job ends with its context, and says how far it came.
func TestJobCutShort(t *testing.T) {
	b, databases := pair(t)
	target := b.descriptor("(SERVICE_NAME=sales)(SERVER=DEDICATED)")
	for _, d := range databases {
		d.tell(t, "/listener", listenerSetting{Mode: "hang"})
	}
	eachDriver(t, func(t *testing.T, d Driver) {
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		began := time.Now()
		_, err := d.Run(ctx, connectLoop(target, 10), nil)
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), d.Name()) {
			t.Errorf("the job ended with %v", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the job ended after %v", took)
		}
	})
}

// A driver that is not there is not installed, which is no failure.
func TestDriverNotInstalled(t *testing.T) {
	if _, err := Node(t.TempDir()); !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "scripts/testdeps") {
		t.Errorf("node-oracledb: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no python can be asked
	if _, err := Python(ctx, testenvFolder); !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "scripts/testdeps") {
		t.Errorf("python-oracledb: %v", err)
	}
}
