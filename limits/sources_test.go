package limits

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

var (
	one = netip.MustParseAddr("192.0.2.1")
	two = netip.MustParseAddr("192.0.2.2")
)

func TestAnAddressOverItsCountIsRefusedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocks := 0
		s := &Sources{Blocked: func(source netip.Prefix, until time.Time) {
			blocks++
			if source != netip.MustParsePrefix("192.0.2.1/32") || time.Until(until) != time.Minute {
				t.Errorf("%v until %v", source, until)
			}
		}}
		s.Configure(SourceSettings{Count: 3, Interval: time.Second, Block: time.Minute})
		for range 2 { // 3 within each second are fine
			for range 3 {
				if _, err := s.Arrive(one); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(time.Second)
		}
		for i := range 10 {
			if _, err := s.Arrive(one); (err != nil) != (i >= 3) || err != nil && !errors.Is(err, ErrBlocked) {
				t.Errorf("connect %d: %v", i, err)
			}
		}
		if _, err := s.Arrive(two); err != nil {
			t.Errorf("another address: %v", err)
		}
		if err := s.Foresee(one); !errors.Is(err, ErrBlocked) {
			t.Errorf("foreseen: %v", err)
		}
		<-time.After(time.Minute - time.Millisecond)
		if _, err := s.Arrive(one); err == nil {
			t.Error("let in before its minute was over")
		}
		<-time.After(time.Millisecond)
		if _, err := s.Arrive(one); err != nil {
			t.Errorf("after its minute: %v", err)
		}
		if c := s.Counts(); blocks != 1 || c.Blocks != 1 || c.Refused != 8 || c.BlockedNow != 0 || c.Known != 2 {
			t.Errorf("%d told, %+v", blocks, c)
		}
	})
}

func TestWithoutABlockTheIntervalIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sources{}
		s.Configure(SourceSettings{Count: 1, Interval: time.Minute})
		for i := range 3 {
			if _, err := s.Arrive(one); (err != nil) != (i > 0) {
				t.Errorf("connect %d: %v", i, err)
			}
			<-time.After(20 * time.Second)
		}
		if _, err := s.Arrive(one); err != nil {
			t.Errorf("in the next minute: %v", err)
		}
	})
}

func TestEachAddressHasItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sources{}
		s.Configure(SourceSettings{Rate: 1, Wait: time.Second})
		if wait, err := s.Arrive(one); wait.Turn != nil || err != nil {
			t.Fatal(wait, err)
		}
		wait, err := s.Arrive(one)
		if wait.Turn == nil || err != nil || !errors.Is(wait.Over, ErrRate) {
			t.Fatalf("the second does not wait: %v, %v", wait, err)
		}
		woken := make(chan struct{})
		wait.Turn.Notify(func() { close(woken) })
		if _, err := s.Arrive(one); !errors.Is(err, ErrRate) {
			t.Errorf("the third, whose turn comes too late: %v", err)
		}
		if err := s.Foresee(one); !errors.Is(err, ErrRate) {
			t.Errorf("foreseen: %v", err)
		}
		if wait, err := s.Arrive(two); wait.Turn != nil || err != nil {
			t.Errorf("another address: %v, %v", wait, err)
		}
		<-woken
		if wait.Turn.State() != Go {
			t.Error(wait.Turn.State())
		}
		s.Configure(SourceSettings{})
		if wait, err := s.Arrive(one); wait.Turn != nil || err != nil {
			t.Errorf("without limit: %v, %v", wait, err)
		}
	})
}

func TestNeighboursInANetworkAreOneSource(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8::1:2:3:4": "2001:db8::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := SourceOf(netip.MustParseAddr(text)); got.String() != want {
			t.Errorf("%s is %v, want %s", text, got, want)
		}
	}
}

// Millions of addresses take no more than MaxSources of them, and none that is refused is
// forgotten for one that is not.
func TestSourcesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sources{}
		s.Configure(SourceSettings{Count: 1, Interval: time.Second, Block: time.Hour, Rate: 1})
		_, _ = s.Arrive(one)
		if _, err := s.Arrive(one); !errors.Is(err, ErrBlocked) {
			t.Fatal(err)
		}
		for i := range uint32(1_000_000) {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], 0x0a000000+i)
			_, _ = s.Arrive(netip.AddrFrom4(b))
		}
		if n := s.Counts().Known; n != MaxSources {
			t.Errorf("%d are known", n)
		}
		if err := s.Foresee(one); err == nil {
			t.Error("the refused one was forgotten")
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > 64<<20 {
			t.Errorf("%d bytes in use", m.HeapAlloc)
		}
	})
}

func BenchmarkArriveOfManySources(b *testing.B) {
	s := &Sources{}
	s.Configure(SourceSettings{Rate: 1, Count: 1000, Interval: time.Second})
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], i)
		_, _ = s.Arrive(netip.AddrFrom4(a))
	}
}
