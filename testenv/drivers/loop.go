package drivers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// LoopJob is a job that goes on until it is told to stop: at a steady rate, whatever becomes of those before, connect,
// ask one question, and close.
type LoopJob struct {
	User     string  `json:"user"`
	Password string  `json:"password"`
	Target   string  `json:"target"` // a descriptor; {door} in it becomes the loopback address of the connect
	Doors    byte    `json:"doors"`  // connect n goes to 127.Doors.n/256.n%256
	SQL      string  `json:"sql"`    // one row with one value
	Rate     float64 `json:"rate"`   // connects begun in a second
	Most     int     `json:"most"`   // open at a time; beyond that the next waits for one to end
	Count    int     `json:"count"`  // connects in all; 0: until told to stop
	GraceMS  int     `json:"grace_ms"`
}

// LoopStage is how far a connect of a loop came.
type LoopStage string

// The stages in which a connect can fail.
const (
	AtConnect LoopStage = "connect" // dialogue and login
	AtQuery   LoopStage = "query"
	AtClose   LoopStage = "close"
)

// Connected is what became of one connect of a loop.
type Connected struct {
	Driver    string     `json:"-"`
	Door      netip.Addr `json:"-"` // to which it went
	N         int        `json:"n"`
	StartedMS float64    `json:"started_ms"` // since 1970
	ConnectMS float64    `json:"connect_ms"` // until logged in or failed
	TookMS    float64    `json:"took_ms"`    // until closed
	Stage     LoopStage  `json:"stage"`      // where Error came
	Error     string     `json:"error"`      // in the driver's own words; empty if all went well
	Answer    string     `json:"answer"`     // what the question gave
}

// Started is when it began.
func (c Connected) Started() time.Time { return time.UnixMicro(int64(c.StartedMS * 1000)) }

// Ended is when it was over.
func (c Connected) Ended() time.Time {
	return c.Started().Add(time.Duration(c.TookMS * float64(time.Millisecond)))
}

// ConnectTime is how long it took to be logged in, or to fail.
func (c Connected) ConnectTime() time.Duration {
	return time.Duration(c.ConnectMS * float64(time.Millisecond))
}

// Unfinished is the error of a connect that was still under way when the loop had to end.
const Unfinished = "unfinished when the loop ended"

// Looper is a driver that can loop.
type Looper interface {
	Driver
	// Loop works until stop is closed or the count is reached, waits up to the grace for what is under way, and
	// returns. Each connect is handed to each, one at a time, when it is over. An error means that the loop itself
	// could not be run, or was cut short by ctx.
	Loop(ctx context.Context, job LoopJob, stop <-chan struct{}, each func(Connected)) error
}

var _, _ Looper = GoOra{}, (*Script)(nil)

// Door is the loopback address to which a connect goes.
func (job LoopJob) Door(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, job.Doors, byte(n >> 8), byte(n)})
}

func (job LoopJob) target(n int) string {
	return strings.ReplaceAll(job.Target, "{door}", job.Door(n).String())
}

// Loop runs the loop in this process.
func (g GoOra) Loop(ctx context.Context, job LoopJob, stop <-chan struct{}, each func(Connected)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	places := make(chan struct{}, max(job.Most, 1))
	ticks := time.NewTicker(time.Duration(float64(time.Second) / job.Rate))
	defer ticks.Stop()
	var running sync.WaitGroup
	var mu sync.Mutex
	for n := 0; (job.Count == 0 || n < job.Count) && waitTurn(ctx, stop, ticks.C, places); n++ {
		running.Go(func() {
			defer func() { <-places }()
			c := g.once(ctx, job, n)
			mu.Lock()
			defer mu.Unlock()
			each(c)
		})
	}
	over := make(chan struct{})
	go func() { // ends when the connects do, for which Loop waits below
		running.Wait()
		close(over)
	}()
	grace := time.NewTimer(time.Duration(job.GraceMS) * time.Millisecond)
	defer grace.Stop()
	select {
	case <-over:
	case <-grace.C:
	case <-ctx.Done():
	}
	err := context.Cause(ctx)
	cancel()
	<-over
	return err
}

// waitTurn waits for the time of the next connect and for a place.
func waitTurn(ctx context.Context, stop <-chan struct{}, tick <-chan time.Time, places chan<- struct{}) bool {
	select {
	case <-tick:
	case <-stop:
		return false
	case <-ctx.Done():
		return false
	}
	select {
	case places <- struct{}{}:
		return true
	case <-stop:
		return false
	case <-ctx.Done():
		return false
	}
}

func (g GoOra) once(ctx context.Context, job LoopJob, n int) Connected {
	began := time.Now()
	result := Connected{Driver: g.Name(), Door: job.Door(n), N: n, StartedMS: float64(began.UnixMicro()) / 1000, Stage: AtConnect}
	elapsed := func() float64 { return float64(time.Since(began).Microseconds()) / 1000 }
	finish := func(err error) Connected {
		result.TookMS = elapsed()
		switch {
		case err != nil && ctx.Err() != nil:
			result.Error = Unfinished
		case err != nil:
			result.Error = err.Error()
		}
		return result
	}
	c, err := g.connect(ctx, Step{User: job.User, Password: job.Password, Target: job.target(n)})
	result.ConnectMS = elapsed()
	if err != nil {
		return finish(err)
	}
	result.Stage = AtQuery
	if err := c.conn.QueryRowContext(ctx, job.SQL).Scan(&result.Answer); err != nil {
		_ = c.close()
		return finish(err)
	}
	result.Stage = AtClose
	return finish(c.close())
}

// Loop runs the loop in a process of its own.
func (s *Script) Loop(ctx context.Context, job LoopJob, stop <-chan struct{}, each func(Connected)) error {
	input, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, s.command[0], append(s.command[1:len(s.command):len(s.command)], "loop")...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	cmd.Stderr = &complaints
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	var telling sync.WaitGroup
	ended := make(chan struct{})
	telling.Go(func() { // the end of its input tells it to stop
		_, _ = in.Write(append(input, '\n'))
		select {
		case <-stop:
		case <-ended:
		}
		_ = in.Close()
	})
	readErr := readConnected(out, func(c Connected) {
		c.Driver, c.Door = s.name, job.Door(c.N)
		each(c)
	})
	close(ended)
	telling.Wait()
	if err := errors.Join(readErr, cmd.Wait(), context.Cause(ctx)); err != nil {
		return fmt.Errorf("%s, in a loop: %w: %.2000s", s.name, err, complaints.Bytes())
	}
	return nil
}

func readConnected(r io.Reader, each func(Connected)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxResult)
	for lines.Scan() {
		var c Connected
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("a connect %q: %w", lines.Bytes(), err)
		}
		each(c)
	}
	return lines.Err()
}
