package broker

import (
	"os"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
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
	old.upgrade.commit, old.upgrade.last = 200*time.Millisecond, 50*time.Millisecond
	_, err := old.Upgrade(t.Context())
	if err == nil || !strings.Contains(err.Error(), "did not serve within 200ms") {
		t.Fatal(err)
	}
	b, r := <-late, <-next
	select {
	case <-b.process.Before.channel.Over():
	case <-time.After(10 * time.Second):
		t.Fatal("the channel is not closed")
	}
	b.changing.Unlock()
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "not taken over") {
		t.Errorf("it ended with %v", err)
	}
	r.ended <- nil
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
