package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

func newAuthority(t testing.TB) *stage.Authority {
	t.Helper()
	a, err := stage.NewAuthority(t.TempDir())
	must(t, err)
	return a
}

// secureTally sums up the sessions over TLS.
type secureTally struct {
	left, cut int   // sessions that went by themselves, and that were ended with their generation
	ended     times // after the upgrade
	turns     int   // of them, after the upgrade
	refused   int   // upgrades meanwhile
}

func (s *secureTally) String() string {
	return fmt.Sprintf("%d sessions left by themselves, %d ended with their generation after %v, in %d turns until then; %d further upgrades refused meanwhile",
		s.left, s.cut, s.ended, s.turns, s.refused)
}

// aboutToEnd is how long an upgrade waits for the generation before to be over.
const aboutToEnd = 5 * time.Second

// inGeneration are sessions over TLS, which cannot move.
type inGeneration struct {
	*upgradeRig
	leave   bool // by themselves, before they are cut
	left    time.Time
	members []*staying
	stop    chan struct{}
	all     sync.WaitGroup
}

// staying is one such session.
type staying struct {
	driver  string
	talk    drivers.Conversation
	turns   int
	ended   time.Time
	failure string
}

// enterOverTLS opens some sessions for a few of the upgrades, which work until their end; nil for the others.
func (r *upgradeRig) enterOverTLS(ctx context.Context, i int) *inGeneration {
	const few = 6
	each := max(*upgrades/few, 2)
	if i%each != each/2 || *drain == 0 {
		return nil
	}
	g := &inGeneration{upgradeRig: r, leave: i/each%2 == 1, stop: make(chan struct{})}
	for _, d := range r.drivers {
		g.members = append(g.members, r.enterSecure(ctx, d))
	}
	for _, s := range g.members {
		g.all.Go(func() {
			defer func() { s.ended = time.Now() }()
			for {
				select {
				case <-g.stop:
					return
				default:
				}
				if s.failure = s.work(ctx); s.failure != "" {
					return
				}
				s.turns++
				_ = stage.Pause(ctx, 50*time.Millisecond)
			}
		})
	}
	return g
}

func (r *upgradeRig) enterSecure(ctx context.Context, d drivers.Looper) *staying {
	if own, ok := d.(drivers.GoOra); ok {
		own.TLS = r.authority.Client
		d = own
	}
	return r.converse(ctx, d, r.authority.Descriptor(r.b.Further[0], "sales"))
}

// converse connects, and begins to work.
func (r *upgradeRig) converse(ctx context.Context, d drivers.Looper, target string) *staying {
	talk, err := conversationWith(ctx, d)
	must(r, err)
	s := &staying{driver: d.Name(), talk: talk}
	steps := []drivers.Step{
		{Do: drivers.Connect, On: "s", User: stage.User, Password: stage.Password, Target: target},
		{Do: drivers.Execute, On: "s", SQL: "create table work (n number)"},
	}
	for _, step := range steps {
		if done := talk.Do(ctx, step); done.Error != "" {
			r.Fatalf("%s to %s: %s: %s", s.driver, target, step.Do, explain(r, r.b, done.Error))
		}
	}
	r.connectsMade++
	return s
}

func (s *staying) work(ctx context.Context) (failure string) {
	if done := s.talk.Do(ctx, drivers.Step{Do: drivers.Execute, On: "s", SQL: fmt.Sprintf("insert into work values (%d)", s.turns)}); done.Error != "" {
		return done.Error
	}
	done := s.talk.Do(ctx, drivers.Step{Do: drivers.Query, On: "s", SQL: "select count(*) from work"})
	if want := fmt.Sprint(s.turns + 1); done.Error == "" && (len(done.Rows) != 1 || *done.Rows[0][0] != want) {
		return fmt.Sprintf("it has %v rows instead of %s", done.Rows, want)
	}
	return done.Error
}

// beside sees that their generation is alive beside a new one, and that nobody cuts it short by a further upgrade.
func (g *inGeneration) beside(ctx context.Context, began time.Time) {
	must(g, stage.Eventually(ctx, func() error {
		var list console.GenerationList
		if err := g.b.GetJSON("/api/v1/generations", &list); err != nil {
			return err
		}
		if all := list.Generations; len(all) != 2 || all[0].State != console.GenerationDraining || all[1].State != console.GenerationServing {
			return fmt.Errorf("while sessions over TLS are open the generations are %+v", all)
		}
		return nil
	}))
	if g.leave || time.Since(began) > *drain-aboutToEnd-*drain/6 {
		return
	}
	if said, code, err := g.b.Command(ctx, "upgrade"); err != nil || code == 0 || !strings.Contains(said, "two generations") {
		g.Errorf("an upgrade while there are two generations: exit %d, %v: %s", code, err, said)
	}
	g.secure.refused++
}

// outlive sees the sessions work in the generation before, until they leave or are cut.
func (g *inGeneration) outlive(ctx context.Context, began time.Time) {
	newer := g.enterSecure(ctx, g.drivers[0]) // in the generation that serves
	if g.leave {
		must(g, stage.Pause(ctx, *drain/4))
		close(g.stop)
		g.all.Wait()
		for _, s := range g.members {
			if done := s.talk.Do(ctx, drivers.Step{Do: drivers.Close, On: "s"}); done.Error != "" && s.failure == "" {
				s.failure = "close: " + done.Error
			}
		}
		g.left = time.Now()
	}
	g.all.Wait()
	if failure := newer.work(ctx); failure != "" {
		g.Errorf("%s over TLS in the new generation, %v after the upgrade: %s", newer.driver, time.Since(began), failure)
	}
	newer.talk.Do(ctx, drivers.Step{Do: drivers.Close, On: "s"})
	must(g, newer.talk.End())
}

// ended judges how the sessions ended, and that their generation did so as long after the upgrade as it took.
func (g *inGeneration) ended(began time.Time, took time.Duration) {
	const atOnce = 5 * time.Second // on a machine that has a lot to do
	cut := 0
	for _, s := range g.members {
		lasted := s.ended.Sub(began)
		g.secure.turns += s.turns
		switch {
		case s.failure != "" && lasted >= *drain:
			cut++
			g.secure.ended = append(g.secure.ended, lasted)
		case s.failure != "" || !g.leave:
			g.Errorf("%s over TLS, %v after the upgrade: %q", s.driver, lasted, s.failure)
		default:
			g.secure.left++
		}
		_ = s.talk.End() // its session is gone
	}
	g.secure.cut += cut
	if left := g.left.Sub(began); cut == 0 && took > left+atOnce || took > *drain+atOnce {
		g.Errorf("the generation before ended %v after the upgrade; DRAIN_TIMEOUT is %v, %d sessions were left and the others had gone after %v", took, *drain, cut, left)
	}
}
