package failover

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"servicebroker/servicetable"
)

// here names the goroutine that calls it.
func here() string {
	b := make([]byte, 64)
	b = b[:runtime.Stack(b, false)]
	for i, c := range b {
		if c == '[' {
			return string(b[:i])
		}
	}
	return string(b)
}

func TestTheFirstAttemptIsTheCallersOwn(t *testing.T) {
	r := &servicetable.Registration{Instance: "i", Host: "h"}
	route := []servicetable.Candidate{
		{Registration: r, Service: &servicetable.Service{Name: "s"}, Handler: &servicetable.Handler{Name: "A"}},
		{Registration: r, Service: &servicetable.Service{Name: "s"}, Handler: &servicetable.Handler{Name: "B"}},
	}
	var d Dialer
	caller, attempts := here(), 0
	got, c, err := Dial(t.Context(), &d, route, func(_ context.Context, c servicetable.Candidate, commit func() error) (string, error) {
		if attempts++; attempts == 1 {
			if at := here(); at != caller {
				t.Errorf("the first attempt is on %s, its caller on %s", at, caller)
			}
			if err := commit(); err != nil {
				t.Errorf("no leave for the only attempt: %v", err)
			}
			return "", errors.New("nobody there")
		}
		return "served", commit()
	})
	if got != "served" || c.Handler.Name != "B" || err != nil || attempts != 2 {
		t.Errorf("%q from %s, %v after %d attempts", got, c.Handler.Name, err, attempts)
	}
}

func TestAContextThatEndsEndsTheFirstAttempt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the client is gone")
	route := []servicetable.Candidate{{Registration: &servicetable.Registration{}, Service: &servicetable.Service{}, Handler: &servicetable.Handler{}}}
	_, _, err := Dial(ctx, nil, route, func(ctx context.Context, _ servicetable.Candidate, _ func() error) (int, error) {
		cancel(cause)
		<-ctx.Done()
		return 0, ctx.Err()
	})
	var failed *DialError
	if !errors.As(err, &failed) || !errors.Is(failed.Stopped, cause) {
		t.Errorf("Dial: %v, stopped by %v", err, failed)
	}
}
