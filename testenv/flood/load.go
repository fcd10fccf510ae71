package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"servicebroker/tns"
)

// loader offers a broker more than it should take.
type loader struct {
	Target, From, Service string
	Rate                  float64 // connects a second, whether or not they are answered
	Slow, Idle            int
	For                   time.Duration
}

// offered is what became of it.
type offered struct {
	Seconds  float64        `json:"seconds"`
	Offered  uint64         `json:"offered"`
	Accepted uint64         `json:"accepted"`
	Refused  map[int]uint64 `json:"refused"` // by code
	Closed   uint64         `json:"closed"`  // without an answer
	Failed   uint64         `json:"failed"`  // to connect
	Unsent   uint64         `json:"unsent"`  // since too many were under way
	Silent   int            `json:"silent"`  // slow and idle connections that were opened
}

// mostUnderWay bounds the flood's own descriptors.
const mostUnderWay = 8000

func (l *loader) run(ctx context.Context) (*offered, error) {
	if err := enoughDescriptors(l.Slow + l.Idle + mostUnderWay); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var open sync.WaitGroup
	o := &offered{Refused: map[int]uint64{}}
	for i := range l.Idle + l.Slow {
		c, err := l.dial(ctx)
		if err != nil {
			continue
		}
		o.Silent++
		if i < l.Slow {
			open.Go(func() { drip(ctx, c, l.Service) })
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		defer stop()
	}
	fmt.Println("silent ones are there:", o.Silent)
	l.flood(ctx, o, &open)
	cancel()
	open.Wait()
	return o, nil
}

func enoughDescriptors(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < uint64(n) {
		return fmt.Errorf("%d descriptors are needed and %d allowed: raise ulimit -n", n, limit.Cur)
	}
	return nil
}

func (l *loader) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(l.From)}, KeepAlive: -1}
	c, err := d.DialContext(ctx, "tcp", l.Target)
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetLinger(0) // leaves no port waiting
	return c, nil
}

// drip sends a CONNECT a byte a second.
func drip(ctx context.Context, c net.Conn, service string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for _, b := range request(service) {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func request(service string) []byte {
	return tns.NewConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME="+service+")(CID=(PROGRAM=flood)(HOST=f)(USER=f))))")).AppendTo(nil, false)
}

// flood offers connects at the rate, in steps of a millisecond.
func (l *loader) flood(ctx context.Context, o *offered, open *sync.WaitGroup) {
	var mu sync.Mutex
	var underWay atomic.Int32
	packet := request(l.Service)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for time.Since(began) < l.For && ctx.Err() == nil {
		<-tick.C
		for due := uint64(time.Since(began).Seconds() * l.Rate); o.Offered < due; o.Offered++ {
			if underWay.Load() >= mostUnderWay {
				o.Unsent++
				continue
			}
			underWay.Add(1)
			open.Go(func() {
				defer underWay.Add(-1)
				l.one(ctx, packet, func(count func()) { mu.Lock(); defer mu.Unlock(); count() }, o)
			})
		}
	}
	o.Seconds = time.Since(began).Seconds()
}

// one is a connect of the flood.
func (l *loader) one(ctx context.Context, packet []byte, counted func(func()), o *offered) {
	c, err := l.dial(ctx)
	if err != nil {
		counted(func() { o.Failed++ })
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write(packet); err != nil {
		counted(func() { o.Closed++ })
		return
	}
	switch reply, _ := tns.NewConn(c).ReadReply(); m := reply.(type) {
	case *tns.Accept:
		counted(func() { o.Accepted++ })
	case *tns.Refuse:
		counted(func() { o.Refused[int(m.Code())]++ })
	default: // no answer, or another one
		counted(func() { o.Closed++ })
	}
}
