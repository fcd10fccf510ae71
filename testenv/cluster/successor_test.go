package cluster

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
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
	for range *upgrades {
		r.killSuccessor(before)
	}
	if again := registrations(t, r.databases...); again != made {
		t.Errorf("databases have made %d connections to the broker, before it was %d", again, made)
	}
	complain(t, r.b, "a registration ended", r.registrationsDied()[len(died):])
	r.end()
	t.Logf("%d successors were killed; of %d connects %d were cut off with one", *upgrades, r.visitors.well+r.connectsMade+r.cut, r.cut)
}

// killSuccessor begins an upgrade, and kills the successor before anything moves to it.
func (r *upgradeRig) killSuccessor(before int) {
	ctx := within(r, patience)
	must(r, syscall.Kill(before, syscall.SIGUSR2))
	must(r, stage.Eventually(ctx, func() error {
		all, err := r.watch.lineage.Alive()
		if err == nil && len(all) != 2 {
			err = fmt.Errorf("%d generations are alive, none can be killed", len(all))
		}
		return err
	}))
	must(r, stage.Pause(ctx, rand.N(300*time.Millisecond)))
	newest, err := r.watch.lineage.Newest()
	must(r, err)
	if newest == before {
		r.Errorf("the successor has ended by itself")
		return
	}
	must(r, syscall.Kill(newest, syscall.SIGKILL))
	must(r, stage.Eventually(ctx, func() error {
		all, err := r.watch.lineage.Alive()
		if err == nil && !slices.Equal(all, []int{before}) {
			err = fmt.Errorf("generations %v are alive, it was %d alone", all, before)
		}
		return err
	}))
	must(r, r.b.AwaitInstances(ctx, "sales", 2))
}
