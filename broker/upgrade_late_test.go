package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/console"
	"servicebroker/registration"
)

// A successor that is too late finds its predecessor serving, and leaves all that is that one's as it is: it was to be killed before.
func TestASuccessorThatIsTooLateTouchesNothing(t *testing.T) {
	late := make(chan *Broker, 1)
	old, next := succeedableOnce(t, nil, func(b *Broker, p *inProcess) {
		b.process.Notify = func(state string) { t.Errorf("the service manager is told %q", state) }
		b.process.Serves = func(int) { t.Error("the keeper is told that it serves") }
		killed := func() {
			select {
			case <-b.process.Before.channel.Over():
				t.Error("it could believe to be alone before it was killed")
			default:
			}
		}
		p.killed.Store(&killed)
		b.changing.Lock() // for which the table that it is given has to wait
		late <- b
	})
	old.register("s1", "sales")
	old.upgrade.commit, old.upgrade.last = 2*time.Second, 50*time.Millisecond
	_, err := old.Upgrade(t.Context())
	if err == nil || !strings.Contains(err.Error(), "did not serve within 2s") {
		t.Fatal(err)
	}
	b, r := <-late, <-next
	select {
	case <-b.process.Before.channel.Over():
	case <-time.After(10 * time.Second):
		t.Fatal("the channel is not closed")
	}
	b.changing.Unlock()
	select {
	case err := <-r.ended:
		if err == nil || !strings.Contains(err.Error(), "not taken over") {
			t.Errorf("it ended with %v", err)
		}
		r.ended <- nil
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
	if _, err := os.Stat(old.SocketPath()); err != nil {
		t.Error(err)
	}
	if _, reply := old.ask(sales); !isAccept(reply) {
		t.Errorf("a client is answered %v", reply)
	}
	if all := old.Generations(); len(all) != 1 || all[0].State != console.GenerationServing {
		t.Errorf("%+v", all)
	}
}

// A resolver that does not answer is waited for once, not for each registration that a successor is given.
func TestASuccessorWaitsOnceForASilentResolver(t *testing.T) {
	b, err := New(testConfigFor(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.closeListeners)
	var given tablePassed
	given.Form = tableForm
	for n := range 10 {
		r := registrationOf(t, fmt.Sprint("s", n), "sales")
		r.Peer, r.Handlers[0].Host = netip.MustParseAddr("10.0.0.1"), fmt.Sprintf("db%d.example.com", n)
		given.Registrations = append(given.Registrations, r)
	}
	text, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	registrants, err := registration.NewRegistrants([]registration.RegistrantRule{{Name: "all", Sources: []string{"10.0.0.0/8"}, Handlers: []string{"10.0.0.0/8"}}})
	if err != nil {
		t.Fatal(err)
	}
	registrants.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	judged := *b.settings()
	judged.registrants = registrants
	b.current.Store(&judged)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := b.takeTable(text, nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took == 0 || took > 2*lookUpTime {
			t.Errorf("it took %v", took)
		}
	})
	if n := len(b.Snapshot().Registrations()); n != len(given.Registrations) {
		t.Errorf("%d are there", n)
	}
}
