package handover

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// An answer that came in time counts, also where a process that was stopped finds it after the deadline.
func TestAnAnswerThatIsFoundLateCounts(t *testing.T) {
	a, _ := ends(t)
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	answer, declined := make(chan error, 1), &DeclinedError{"full"}
	go func() { answer <- declined }()
	if err := a.answered(ctx, 7, answer); err != declined {
		t.Errorf("%v", err)
	}
	a.waiting[8] = answer
	if err := a.answered(ctx, 8, answer); !errors.Is(err, context.DeadlineExceeded) || len(a.waiting) > 0 {
		t.Errorf("%v, %d wait", err, len(a.waiting))
	}
}

// Whoever wants to send waits for one that is not read only as long as it may.
func TestASendWaitsForAnotherNoLongerThanItMay(t *testing.T) {
	a, _ := ends(t)
	a.sending <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Send(ctx, "shutdown", thing{}) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	<-a.sending
	if err := a.Send(t.Context(), "shutdown", thing{}); err != nil {
		t.Error(err)
	}
}

// A context that ends as a record is out ends no other.
func TestAContextEndsNoLaterSend(t *testing.T) {
	a, b := ends(t)
	var reading sync.WaitGroup
	defer reading.Wait()
	read := func(c *Channel) { // until it is closed
		reading.Go(func() {
			for {
				if _, err := c.Receive(context.Background()); err != nil {
					return
				}
			}
		})
	}
	read(b)
	for range 5000 {
		ctx, cancel := context.WithCancel(t.Context())
		going := make(chan struct{})
		go func() {
			<-going
			cancel()
		}()
		close(going)
		err := a.Send(ctx, "first", thing{})
		cancel()
		if err == nil || errors.Is(err, context.Canceled) && a.Send(t.Context(), "again", thing{}) == nil { // it had not begun
			if err := a.Send(t.Context(), "next", thing{}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		a.Close() // the first was cut short
		a, b = ends(t)
		read(b)
	}
	a.Close()
}
