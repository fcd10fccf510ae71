package fuzzing

import (
	"runtime"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"
)

// What an input may cost whatever it is, and each of its bytes besides. A reader that takes a length at its
// word, or goes over its input again for each part of it, is far beyond that.
const (
	baseMemory = 256 << 10
	byteMemory = 1 << 10
	baseTime   = 100 * time.Millisecond
	byteTime   = 10 * time.Microsecond
	timesWhole = 8
)

const rusageThread = 1

// Cost is what f takes: bytes allocated, by anyone meanwhile, and processor time of its own goroutine.
func Cost(f func()) (bytes uint64, spent time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	memory, began := allocated(), processor()
	f()
	return allocated() - memory, processor() - began
}

// Bounded runs f, which reads an input of that many bytes, and fails if it costs more than such an input
// may. What it takes once may be somebody else's doing, so it is asked again before it counts.
func Bounded(t testing.TB, input int, f func()) {
	t.Helper()
	bounded(t, input, uint64(baseMemory+byteMemory*input), baseTime+time.Duration(input)*byteTime, f)
}

func bounded(t testing.TB, input int, mostBytes uint64, mostTime time.Duration, f func()) {
	t.Helper()
	var bytes uint64
	var spent time.Duration
	for range 3 {
		if bytes, spent = Cost(f); bytes <= mostBytes && spent <= mostTime {
			return
		}
	}
	t.Fatalf("an input of %d bytes takes %d bytes of memory (may: %d) and %v (may: %v)", input, bytes, mostBytes, spent, mostTime)
}

// BoundedBy runs f, and fails if it takes much more time than whole, which goes over the same input once. It finds
// what goes over many small things again for each of them, which Bounded lets pass where each has many bytes.
func BoundedBy(t testing.TB, whole, f func()) {
	t.Helper()
	var once, spent time.Duration
	for range 3 {
		_, once = Cost(whole)
		if _, spent = Cost(f); spent <= baseTime+timesWhole*once {
			return
		}
	}
	t.Fatalf("what can be gone over in %v takes %v (may: %v)", once, spent, baseTime+timesWhole*once)
}

func allocated() uint64 {
	sample := [1]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample[:])
	return sample[0].Value.Uint64()
}

func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(rusageThread, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
