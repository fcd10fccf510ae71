package cluster

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// Successors are killed in their first moments, each at another one. The broker goes on with all its sessions, and its
// databases notice nothing; only who was with the successor that was killed is cut off.
func TestSuccessorsKilled(t *testing.T) {
	r := newUpgradeRig(t)
	r.mayBeCut = regexp.MustCompile(`EOF|reset by peer|DPY-4011|NJS-500`)
	r.start()
	made, died := registrations(t, r.databases...), r.registrationsDied()
	before, err := r.watch.lineage.Newest()
	must(t, err)
	killed := 0
	for range *upgrades {
		newest := r.killSuccessor(before)
		if newest == before {
			killed++
		}
		before = newest
	}
	if again := registrations(t, r.databases...); again != made {
		t.Errorf("databases have made %d connections to the broker, before it was %d", again, made)
	}
	complain(t, r.b, "a registration ended", r.registrationsDied()[len(died):])
	r.end()
	t.Logf("%d successors of %d were killed; of %d connects %d were cut off with one", killed, *upgrades, r.visitors.well+r.connectsMade+r.cut, r.cut)
}

// nothingMoves is how long nothing has moved for certain since an upgrade began.
const nothingMoves = 250 * time.Millisecond

// killSuccessor begins an upgrade, and kills the successor before anything moves to it, or else lets it be. It returns which
// process serves then.
func (r *upgradeRig) killSuccessor(before int) (serves int) {
	ctx := within(r, patience)
	began := time.Now()
	answered := make(chan error, 1)
	go func() { // ends with the command, which is waited for below
		said, code, err := r.b.Command(ctx, "upgrade")
		if err == nil && code != 0 {
			err = fmt.Errorf("exit %d: %s", code, said)
		}
		answered <- err
	}()
	over := false // the one before has ended, sooner than that could be seen
	must(r, stage.Eventually(ctx, func() error {
		all, err := r.watch.lineage.Alive()
		over = err == nil && len(all) == 1 && all[0] != before
		if !over && (err != nil || len(all) != 2 || threads(all[1]) < 2) {
			return fmt.Errorf("generations %v are alive, none can be killed: %w", all, err)
		}
		serves = all[len(all)-1]
		return nil
	}))
	must(r, stage.Pause(ctx, rand.N(nothingMoves)))
	if over || time.Since(began) > nothingMoves {
		must(r, <-answered)
		_, err := r.watch.await(ctx, before)
		must(r, err)
		return serves
	}
	must(r, syscall.Kill(serves, syscall.SIGKILL))
	if err := <-answered; err == nil || !strings.Contains(err.Error(), "exit 1") {
		r.Errorf("an upgrade whose successor was killed: %v", err)
	}
	must(r, stage.Eventually(ctx, func() error {
		all, err := r.watch.lineage.Alive()
		if err == nil && !slices.Equal(all, []int{before}) {
			err = fmt.Errorf("generations %v are alive, it was %d alone", all, before)
		}
		return err
	}))
	must(r, r.b.AwaitInstances(ctx, "sales", 2))
	return before
}
