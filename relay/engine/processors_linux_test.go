package engine

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// onOneProcessor has the runtime find one processor from this thread, until the returned function is called.
func onOneProcessor(t *testing.T) (all func()) {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if before.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.SchedSetaffinity(0, &before); err != nil {
			t.Fatal(err)
		}
		runtime.UnlockOSThread()
	}
}

// The scheduler has one more for each loop, whatever it has besides, until they end.
func TestProcessorsAreFollowed(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	atFirst := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(atFirst)
	var p processors
	p.take(3)
	if now := runtime.GOMAXPROCS(0); now != atFirst+3 {
		t.Fatalf("%d, want %d", now, atFirst+3)
	}
	if p.adjust(); runtime.GOMAXPROCS(0) != atFirst+3 {
		t.Errorf("%d after a look at what has not changed, want %d", runtime.GOMAXPROCS(0), atFirst+3)
	}
	p.standard++ // there was one more when it was looked up last
	if p.adjust(); runtime.GOMAXPROCS(0) != atFirst+2 {
		t.Errorf("%d with one less, want %d", runtime.GOMAXPROCS(0), atFirst+2)
	}
	runtime.GOMAXPROCS(atFirst + 3)
	fewer := p.standard - 1
	all := onOneProcessor(t)
	p.adjust()
	all()
	if now := runtime.GOMAXPROCS(0); now != max(1, atFirst+3-fewer) {
		t.Errorf("%d on one processor, want %d", now, max(1, atFirst+3-fewer))
	}
	if p.adjust(); runtime.GOMAXPROCS(0) != atFirst+3 {
		t.Errorf("%d on all again, want %d", runtime.GOMAXPROCS(0), atFirst+3)
	}
	if p.giveBack(); runtime.GOMAXPROCS(0) != atFirst {
		t.Errorf("%d afterwards, want %d", runtime.GOMAXPROCS(0), atFirst)
	}
}

func TestProcessorsThatAreSaid(t *testing.T) {
	t.Setenv("GOMAXPROCS", "7")
	atFirst := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(atFirst)
	var p processors
	p.take(2)
	all := onOneProcessor(t)
	defer all()
	if p.adjust(); runtime.GOMAXPROCS(0) != atFirst+2 {
		t.Errorf("%d, want %d", runtime.GOMAXPROCS(0), atFirst+2)
	}
}

func TestFollowingEnds(t *testing.T) {
	t.Setenv("GOMAXPROCS", "7")
	atFirst := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(atFirst)
	synctest.Test(t, func(t *testing.T) {
		var p processors
		p.close() // of one that follows nothing
		p.take(1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.follow(time.Minute)
		}()
		<-time.After(3 * time.Minute)
		p.close()
		<-ended
	})
}
