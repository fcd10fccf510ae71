package drivers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"servicebroker/testenv/stage"
)

// WhereAmI tells the instance one is connected to.
const WhereAmI = "select sys_context('USERENV','INSTANCE_NAME') from dual"

// Load is what several drivers do to one broker at a time, each in a loop of its own.
type Load struct {
	Drivers []Looper
	Rate    float64 // connects in a second, of each driver
	Scripts float64 // the same of those that run as scripts; 0: Rate
	Service string
	Extra   string        // further connect data
	Most    int           // connects under way at a time, of each driver; 0: 2,000
	Count   int           // connects of each driver; 0: until stopped
	Grace   time.Duration // for those under way at the end; 0: 10 s
}

// Running is a load under way.
type Running struct {
	end   func()
	ended chan struct{}
	err   error

	mu       sync.Mutex
	connects []Connected
	grown    chan struct{} // closed when there are more
}

// Start starts the load through a tap.
func (l Load) Start(ctx context.Context, tap *stage.Tap) *Running {
	stop := make(chan struct{})
	r := &Running{end: sync.OnceFunc(func() { close(stop) }), ended: make(chan struct{}), grown: make(chan struct{})}
	var loops sync.WaitGroup
	errs := make([]error, len(l.Drivers))
	for i, d := range l.Drivers {
		loops.Go(func() { errs[i] = d.Loop(ctx, l.job(i, tap), stop, r.add) })
	}
	go func() { // ends when the loops do, for which Stop waits
		loops.Wait()
		r.err = errors.Join(errs...)
		close(r.ended)
	}()
	return r
}

// firstDoors leaves 127.0.x.x to others.
const firstDoors = 16

func (l Load) job(i int, tap *stage.Tap) LoopJob {
	job := LoopJob{
		Doors: byte(firstDoors + i),
		User:  stage.User, Password: stage.Password, SQL: WhereAmI, Rate: l.Rate, Most: l.Most, Count: l.Count,
		Target:  descriptorFor(fmt.Sprintf("{door}:%d", tap.Port), "(SERVICE_NAME="+l.Service+")"+l.Extra),
		GraceMS: int(l.Grace / time.Millisecond),
	}
	if _, script := l.Drivers[i].(*Script); script && l.Scripts > 0 {
		job.Rate = l.Scripts
	}
	if job.Most == 0 {
		job.Most = 2000
	}
	if job.GraceMS == 0 {
		job.GraceMS = 10_000
	}
	return job
}

func (r *Running) add(c Connected) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connects = append(r.connects, c)
	close(r.grown)
	r.grown = make(chan struct{})
}

// Connects returns those that are over, in the order of their ends, and a channel that is closed when there are more.
func (r *Running) Connects() (all []Connected, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Connected(nil), r.connects...), r.grown
}

// Ended is closed once all connects are over.
func (r *Running) Ended() <-chan struct{} { return r.ended }

// Await waits until so many connects are over.
func (r *Running) Await(ctx context.Context, count int) error {
	for {
		all, more := r.Connects()
		if len(all) >= count {
			return nil
		}
		select {
		case <-more:
		case <-r.ended:
			return errors.Join(errors.New("the loops ended before there were so many connects"), r.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// End has no more connects begin.
func (r *Running) End() { r.end() }

// Stop ends the load, waits for what is under way, and returns every connect of it.
func (r *Running) Stop() ([]Connected, error) {
	r.end()
	<-r.ended
	all, _ := r.Connects()
	return all, r.err
}

// FindDrivers finds every driver that can loop here, and tells which are not installed. testenv is the folder that holds
// the scripts.
func FindDrivers(ctx context.Context, testenv string) (all []Looper, missing []error) {
	for _, find := range []func() (*Script, error){
		func() (*Script, error) { return Node(testenv) },
		func() (*Script, error) { return Python(ctx, testenv) },
	} {
		if s, err := find(); err != nil {
			missing = append(missing, err)
		} else {
			all = append(all, s)
		}
	}
	return append(all, GoOra{}), missing
}

// descriptorFor makes a connect descriptor of one address.
func descriptorFor(address, connectData string) string {
	return "(DESCRIPTION=" + addressText(address) + "(CONNECT_DATA=" + connectData + "))"
}

func addressText(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return "(ADDRESS=(PROTOCOL=tcp)(HOST=" + host + ")(PORT=" + port + "))"
}
