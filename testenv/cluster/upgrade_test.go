package cluster

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// The broker is upgraded again and again, by the command and by the signal, while clients connect, sessions with open
// transactions work, streams run, connects wait and CONNECTs are half sent. Nobody notices, but sessions over TLS, which
// end with their generation.
func TestUpgrades(t *testing.T) {
	r := newUpgradeRig(t)
	files, kb := r.start()
	made, died := registrations(t, r.databases...), r.registrationsDied()
	calm := r.phase("without upgrades", func() { must(t, stage.Pause(t.Context(), r.calm())) })
	soak := r.phase(fmt.Sprint(*upgrades, " upgrades"), func() {
		for i := range *upgrades {
			r.upgrade(i)
			must(t, stage.Pause(t.Context(), *pause))
		}
	})
	newest, err := r.watch.lineage.Newest()
	must(t, err)
	var filesAfter, kbAfter int
	more := stage.Eventually(within(t, patience), func() error { // clients are coming all the time, and on a busy machine many at once
		filesAfter, kbAfter, err = footprint(newest)
		if err == nil && (filesAfter > files+files/10+30 || kbAfter > kb+kb/2+32<<10) {
			err = fmt.Errorf("files %d → %d, memory %d → %d kB", files, filesAfter, kb, kbAfter)
		}
		return err
	})
	if more != nil {
		t.Error(more)
	}
	seen, most, err := r.watch.soFar()
	must(t, err)
	t.Logf("generations: %d, at most %d at a time; the newest has %d files and %d kB, the first one had %d and %d", seen, most, filesAfter, kbAfter, files, kb)
	t.Logf("until the new generation serves and has what moves: %v; until it is alone: %v", r.served, r.alone)
	if seen != *upgrades+1 || most > 2 {
		t.Errorf("%d generations for %d upgrades, %d at a time", seen, *upgrades, most)
	}
	if again := registrations(t, r.databases...); again != made {
		t.Errorf("databases have made %d connections to the broker, before it was %d", again, made)
	}
	complain(t, r.b, "a registration ended", r.registrationsDied()[len(died):])
	r.moves()
	r.end()
	r.afterwards()
	t.Logf("connect p50 / p99 / max, and a turn in a session\n%v\n%v", calm, soak)
}

// upgradeRig is all that goes on while the broker is upgraded.
type upgradeRig struct {
	testing.TB
	b         *stage.Broker
	authority *stage.Authority
	databases []*stage.Database
	watch     *generations
	drivers   []drivers.Looper

	visitors  *arrivals
	loops     []*loop
	crew      *crew
	hands     []*hand
	streams   *streams
	breakers  []*staying
	strangers func() // ends them
	stop      chan struct{}
	running   sync.WaitGroup

	served, alone  times
	connectsBefore int // as the broker counts them
	connectsMade   int // since then, besides visitors and loops

	mayBeCut *regexp.Regexp // how a connect may fail; nil: none may
	cut      int
	middle   map[string]*tally // clients in the middle of a connect, by how far they were
	secure   secureTally
}

// tally counts what was well and what was not.
type tally struct {
	all    int
	failed []string
}

func newUpgradeRig(t *testing.T) *upgradeRig {
	a := newAuthority(t)
	r := &upgradeRig{TB: t, stop: make(chan struct{}), middle: map[string]*tally{}, authority: a, drivers: realDrivers(t)}
	r.b = startBrokerAt(t, stage.BrokerOptions{Addresses: []string{"(ADDRESS=(PROTOCOL=tcps)(HOST=127.0.0.1)(PORT=0))"},
		Parameters: []string{a.Parameter(), fmt.Sprint("DRAIN_TIMEOUT=", drain.Seconds())}})
	for i := range 2 {
		r.databases = append(r.databases, startDatabase(t, stage.DatabaseOptions{Instance: fmt.Sprint("sales", i+1),
			Services: []string{"sales", "hr"}, Arguments: []string{"--private"}}, r.b))
	}
	r.databases = append(r.databases, startDatabase(t, stage.DatabaseOptions{Instance: "late1", Services: []string{"late", "never"}}, r.b))
	must(t, r.b.AwaitInstances(within(t, patience), "sales", 2))
	must(t, r.b.AwaitInstances(within(t, patience), "late", 1))
	r.watch = watchGenerations(t, r.b)
	return r
}

// calm is how long it is looked at without upgrades.
func (r *upgradeRig) calm() time.Duration {
	return min(max(time.Duration(*upgrades)**pause, 2*time.Second), 30*time.Second)
}

// start has everything going on, and returns what the broker occupies then.
func (r *upgradeRig) start() (files, kb int) {
	ctx := r.Context()
	var err error
	r.crew = &crew{services: []string{"sales", "hr"}, target: func(service string) string { return descriptor(r.b.Address, service) }}
	r.hands, err = r.crew.muster(ctx, *sessions, r.drivers)
	must(r, err)
	if open := openTransactions(r, r.databases...); open != *sessions {
		r.Errorf("%d transactions are open instead of %d", open, *sessions)
	}
	r.streams = startStreams(r, r.b, 2)
	for _, d := range r.drivers {
		r.breakers = append(r.breakers, r.converse(ctx, d, descriptor(r.b.Address, "sales")))
	}
	r.connectsMade, r.connectsBefore = 0, r.metric("sessions_total ")
	keepChanging(r, r.b, 20*time.Millisecond)
	r.strangers = comeAndGo(r, r.b, 30*time.Millisecond)
	r.running.Go(func() { r.crew.toil(ctx, r.hands, r.stop) })
	r.visitors = arrive(ctx, r.b.Address, "(SERVICE_NAME=sales)", *rate)
	for _, d := range r.drivers {
		r.loops = append(r.loops, startLoop(ctx, d, drivers.LoopJob{Target: descriptor(r.b.Address, "sales"), Rate: 3}))
	}
	files, kb, err = footprint(r.b.PID())
	must(r, err)
	return files, kb
}

var registrationDied = regexp.MustCompile(`(?m)^.*msg="registration died".*$`)

// metric adds up what the broker counts by a name.
func (r *upgradeRig) metric(name string) (sum int) {
	_, text, err := r.b.Get("/metrics")
	must(r, err)
	for _, line := range splitLines(text) {
		if strings.HasPrefix(line, "servicebroker_"+name) {
			value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			must(r, err)
			sum += int(value)
		}
	}
	return sum
}

// afterwards looks whether the newest generation knows what all of them have done, and still hears of its databases.
func (r *upgradeRig) afterwards() {
	must(r, stage.Eventually(within(r, patience), func() error {
		if open := r.metric("sessions_open{"); open != 0 {
			return fmt.Errorf("the broker counts %d open sessions, all have left", open)
		}
		return nil
	}))
	if got, want := r.metric("sessions_total ")-r.connectsBefore, r.connectsMade+r.visitors.well; got != want {
		r.Errorf("the broker has counted %d sessions, there were %d", got, want)
	}
	must(r, stage.Eventually(within(r, patience), func() error {
		status, said, err := r.b.Get("/api/v1/services/" + passing + "_0")
		if err == nil && status != 404 {
			err = fmt.Errorf("what came and went is still there: %d %s", status, said)
		}
		return err
	}))
	r.databases[1].Kill()
	must(r, r.b.AwaitInstances(within(r, patience), "sales", 1))
}

// registrationsDied is what the broker, in whatever generation, has to say of registrations that ended.
func (r *upgradeRig) registrationsDied() []string {
	text, _ := r.b.Log.Read()
	return slices.DeleteFunc(registrationDied.FindAllString(string(text), -1), func(line string) bool { return strings.Contains(line, passing) })
}

var upgradeMoved = regexp.MustCompile(`msg="upgrade: moved" what=("[^"]*"|\S+) moved=(\d+) stayed=(\d+)`)

// moves sums up what went to a next generation, as the broker says.
func (r *upgradeRig) moves() {
	text, _ := r.b.Log.Read()
	moved, stayed := map[string]int{}, map[string]int{}
	for _, found := range upgradeMoved.FindAllSubmatch(text, -1) {
		what := string(found[1])
		some, _ := strconv.Atoi(string(found[2]))
		others, _ := strconv.Atoi(string(found[3]))
		moved[what], stayed[what] = moved[what]+some, stayed[what]+others
	}
	for _, what := range slices.Sorted(maps.Keys(moved)) {
		r.Logf("%s: %d moved, %d stayed", what, moved[what], stayed[what])
	}
	if stayed["registrations"] > 0 {
		r.Errorf("%d registrations did not move", stayed["registrations"])
	}
}

// phase is a span of time, of which it returns a line of the table.
func (r *upgradeRig) phase(name string, do func()) string {
	r.visitors.result()
	r.crew.result()
	began := time.Now()
	do()
	connects, took, turn, failed := r.visitors.result()
	complain(r, r.b, name, failed)
	return fmt.Sprintf("%-20s %4.0f connects/s, %d of %d failed: %v; their first message %v; turns of %d sessions %v", name,
		float64(connects)/time.Since(began).Seconds(), len(failed), connects, took, turn, *sessions, r.crew.result())
}

// upgrade is one upgrade, with clients who have come as far as one can before it.
func (r *upgradeRig) upgrade(i int) {
	ctx := within(r, 3*patience)
	before, err := r.watch.lineage.Newest()
	must(r, err)
	served := r.inTheMiddle(ctx, i)
	secure := r.enterOverTLS(ctx, i)
	began := time.Now()
	if i%2 == 0 {
		if said, code, err := r.b.Command(ctx, "upgrade"); err != nil || code != 0 {
			r.Fatalf("upgrade %d: exit %d, %v: %s", i, code, err, said)
		}
		r.served = append(r.served, time.Since(began))
	} else {
		must(r, syscall.Kill(before, syscall.SIGUSR2))
	}
	if secure != nil {
		secure.beside(ctx, began)
	}
	served()
	if secure != nil {
		secure.outlive(ctx, began)
	}
	if _, err := r.watch.await(ctx, before); err != nil {
		said, _, _ := r.b.Command(r.Context(), "generations")
		r.Fatalf("upgrade %d: %v\n%s", i, err, said)
	}
	if secure != nil {
		secure.ended(began, r.watch.lastSeen(before).Sub(began))
		return
	}
	r.alone = append(r.alone, time.Since(began))
}

// excused leaves out how connects may fail.
func (r *upgradeRig) excused(failed []string) []string {
	before := len(failed)
	failed = slices.DeleteFunc(failed, func(f string) bool { return r.mayBeCut != nil && r.mayBeCut.MatchString(f) })
	r.cut += before - len(failed)
	return failed
}

// end has everyone end what they began, and judges it.
func (r *upgradeRig) end() {
	close(r.stop)
	r.visitors.depart()
	r.strangers()
	_, _, _, failed := r.visitors.result()
	complain(r, r.b, "at the end", r.excused(failed))
	r.running.Wait()
	lost := r.crew.leave(r.Context(), r.hands)
	complain(r, r.b, "sessions lost", lost)
	bytes, wrong := r.streams.end()
	complain(r, r.b, "streams", wrong)
	for _, l := range r.loops {
		connects, err := l.end()
		must(r, err)
		failed := l.failures(connects)
		r.connectsMade += len(connects) - len(failed)
		failed = r.excused(failed)
		complain(r, r.b, l.name, failed)
		r.Logf("%s: %d connects, %d failed", l.name, len(connects), len(failed))
	}
	for _, how := range slices.Sorted(maps.Keys(r.middle)) {
		n := r.middle[how]
		r.Logf("clients %s: %d, %d failed", how, n.all, len(n.failed))
		complain(r, r.b, "a client "+how, n.failed)
	}
	for _, b := range r.breakers {
		b.talk.Do(r.Context(), drivers.Step{Do: drivers.Close, On: "s"})
		must(r, b.talk.End())
	}
	r.Logf("over TLS: %v", &r.secure)
	r.Logf("%d of %d sessions kept their transactions, %d MB in %d flows arrived whole", *sessions-len(lost), *sessions, bytes>>20, len(r.streams.all))
}
