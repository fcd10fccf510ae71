package limits

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

const chunk = 32 << 10

func TestBandwidthIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bandwidth
		b.Configure(1 << 20)
		began := time.Now()
		for range 64 { // 2 MiB
			if err := b.WaitN(t.Context(), chunk); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 1800*time.Millisecond || took > 2100*time.Millisecond {
			t.Errorf("2 MiB at 1 MiB/s took %v", took)
		}
		if c := b.Counts(); c.Bytes != 2<<20 || c.Waiting != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// Path is the bandwidths that bytes go through, one after the other.
type Path []*Bandwidth

func (p Path) WaitN(ctx context.Context, n int) error {
	for _, b := range p {
		if err := b.WaitN(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// moved lets sessions with those paths send for a while and returns how much each did.
func moved(t *testing.T, during time.Duration, paths ...Path) []int {
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	bytes, done := make([]int, len(paths)), make(chan struct{})
	for i, p := range paths {
		go func() {
			for p.WaitN(ctx, chunk) == nil && ctx.Err() == nil {
				bytes[i] += chunk
			}
			done <- struct{}{}
		}()
	}
	for range paths {
		<-done
	}
	return bytes
}

func TestSessionsShareFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all Bandwidth
		all.Configure(10 << 20)
		bytes := moved(t, 10*time.Second, Path{&all}, Path{&all}, Path{&all}, Path{&all})
		for i, n := range bytes {
			if n < 24<<20 || n > 27<<20 {
				t.Errorf("session %d moved %d bytes of 25 MiB", i, n)
			}
		}
	})
}

// A narrow limit does not use up a wide one, and what it leaves is for the others.
func TestBandwidthsAreWithinEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all, narrow Bandwidth
		all.Configure(10 << 20)
		narrow.Configure(1 << 20)
		bytes := moved(t, 10*time.Second, Path{&narrow, &all}, Path{&narrow, &all}, Path{&all})
		if in := bytes[0] + bytes[1]; in < 9<<20 || in > 11<<20 {
			t.Errorf("under the narrow limit %d bytes passed of 10 MiB", in)
		}
		if bytes[2] < 85<<20 || bytes[2] > 95<<20 {
			t.Errorf("the other one moved %d bytes of 90 MiB", bytes[2])
		}
	})
}

func TestANewBandwidthHoldsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bandwidth
		b.Configure(1) // 32 KiB take nine hours
		ended := make(chan error)
		go func() { ended <- Path{&b}.WaitN(t.Context(), chunk) }()
		synctest.Wait()
		if b.Counts().Waiting != 1 {
			t.Error("nobody waits")
		}
		began := time.Now()
		b.Configure(1 << 20)
		if err := <-ended; err != nil || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestAWaitForBandwidthEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bandwidth
		b.Configure(1)
		cause := errors.New("over")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { ended <- b.WaitN(ctx, chunk) }()
		synctest.Wait()
		cancel(cause)
		if err := <-ended; !errors.Is(err, cause) {
			t.Error(err)
		}
		if b.Counts().Waiting != 0 {
			t.Error("somebody still waits")
		}
	})
}

func BenchmarkPathWithoutLimits(b *testing.B) {
	p := Path{{}, {}, {}, {}}
	for b.Loop() {
		_ = p.WaitN(b.Context(), chunk)
	}
}
