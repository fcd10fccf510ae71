package cluster

import (
	"cmp"
	"context"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// loop is a real driver that connects without pause.
type loop struct {
	name     string
	stop     chan struct{}
	ended    chan struct{}
	connects []drivers.Connected
	err      error
}

// startLoop starts it by a job of which it fills in what is usual.
func startLoop(ctx context.Context, d drivers.Looper, job drivers.LoopJob) *loop {
	l := &loop{name: d.Name(), stop: make(chan struct{}), ended: make(chan struct{})}
	job.User, job.Password = stage.User, stage.Password
	job.SQL, job.Most, job.GraceMS = drivers.WhereAmI, cmp.Or(job.Most, 500), cmp.Or(job.GraceMS, 20_000)
	go func() { // ends with the loop, for which end waits
		defer close(l.ended)
		l.err = d.Loop(ctx, job, l.stop, func(c drivers.Connected) { l.connects = append(l.connects, c) })
	}()
	return l
}

// end stops it and returns every connect.
func (l *loop) end() ([]drivers.Connected, error) {
	close(l.stop)
	<-l.ended
	return l.connects, l.err
}
