package failover

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

// lacking are dials that failed since this host had none left of something.
func lacking() []error {
	var all []error
	for _, code := range [...]syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		all = append(all, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", code)})
	}
	return all
}

// What this host lacks ejects nobody: neither connects nor probes that failed of it.
func TestNobodyIsEjectedForWhatThisHostLacks(t *testing.T) {
	for _, err := range lacking() {
		t.Run(err.Error(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := watch(t, nil)
				a := w.register("a", "s")
				w.set("h-a", func(context.Context) error { return err })
				w.met(a, err)
				before := w.probed("h-a")
				pass(time.Minute)
				synctest.Wait()
				w.wantEvents(t, "")
				if n := w.probed("h-a"); n <= before {
					t.Error("it is not probed any more")
				}
				if err := w.prober.Verify(t.Context(), a); err != nil {
					t.Errorf("a client cannot be sent there: %v", err)
				}
				w.set("h-a", refuses)
				pass(10 * time.Second)
				synctest.Wait()
				if err := w.prober.Verify(t.Context(), a); err == nil {
					t.Error("it is taken for alive though it refuses")
				}
			})
		})
	}
}

// An instance towards which there is no port left is tried after others for a while; one that
// could not be tried for what all of them need is not.
func TestOthersFirstWherePortsAreLacking(t *testing.T) {
	for _, err := range lacking() {
		synctest.Test(t, func(t *testing.T) {
			var d Dialer
			var tried []string
			route := func() []servicetable.Candidate { return []servicetable.Candidate{candidate("a"), candidate("b")} }
			dial := func() string {
				_, c, got := Dial(t.Context(), &d, route(), func(_ context.Context, c servicetable.Candidate, _ func() error) (int, error) {
					tried = append(tried, c.Registration.Instance)
					if c.Registration.Instance == "a" {
						return 0, err
					}
					return 1, nil
				})
				if got != nil {
					t.Fatal(got)
				}
				return c.Registration.Instance
			}
			if to := dial(); to != "b" {
				t.Errorf("%v: connected to %s", err, to)
			}
			tried = nil
			dial()
			want := "a b"
			if errors.Is(err, syscall.EADDRNOTAVAIL) {
				want = "b"
			}
			if got := strings.Join(tried, " "); got != want {
				t.Errorf("%v: then tried %s, want %s", err, got, want)
			}
		})
	}
}

// Where this host is at fault nobody is told to look at the network.
func TestLackingIsNoQuestionOfReach(t *testing.T) {
	for _, err := range lacking() {
		e := &DialError{Attempts: []Attempt{{Candidate: candidate("a"), Err: err}}}
		if strings.Contains(e.Error(), "can be reached") {
			t.Errorf("%v", e)
		}
	}
}
