package main

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"servicebroker/tns"
)

// measurer connects to several targets in turn, at a steady pace.
type measurer struct {
	Targets []string
	Service string
	Rate    float64 // connects a second to each
	For     time.Duration
}

// measured is how long connects took from the first packet to the ACCEPT.
type measured struct {
	Target  string  `json:"target"`
	Count   int     `json:"count"`
	Failed  int     `json:"failed"`
	Why     string  `json:"why,omitempty"`
	P50     float64 `json:"p50_ms"`
	P90     float64 `json:"p90_ms"`
	P99     float64 `json:"p99_ms"`
	Longest float64 `json:"longest_ms"`
	took    []time.Duration
}

func (m *measurer) run(ctx context.Context) ([]*measured, error) {
	all := make([]*measured, len(m.Targets))
	for i, t := range m.Targets {
		all[i] = &measured{Target: t}
	}
	packet := request(m.Service)
	var mu sync.Mutex
	var open sync.WaitGroup
	tick := time.NewTicker(time.Duration(float64(time.Second) / m.Rate / float64(len(all))))
	defer tick.Stop()
	began := time.Now()
	for i := 0; time.Since(began) < m.For && ctx.Err() == nil; i++ {
		<-tick.C
		into := all[i%len(all)]
		open.Go(func() {
			took, err := connect(ctx, into.Target, packet)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				into.Failed, into.Why = into.Failed+1, err.Error()
				return
			}
			into.took = append(into.took, took)
		})
	}
	open.Wait()
	for _, one := range all {
		one.summarize()
	}
	return all, nil
}

// refused is an answer that is no ACCEPT.
type refused struct{ tns.Message }

func (r refused) Error() string {
	if m, ok := r.Message.(*tns.Refuse); ok {
		return m.Code().String()
	}
	return "no ACCEPT"
}

func connect(ctx context.Context, target string, packet []byte) (time.Duration, error) {
	began := time.Now()
	c, err := (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: -1}).DialContext(ctx, "tcp", target)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(packet); err != nil {
		return 0, err
	}
	reply, err := tns.NewConn(c).ReadReply()
	if err != nil {
		return 0, err
	}
	if _, ok := reply.(*tns.Accept); !ok {
		return 0, refused{reply}
	}
	return time.Since(began), nil
}

func (m *measured) summarize() {
	m.Count = len(m.took)
	if m.Count == 0 {
		return
	}
	slices.Sort(m.took)
	at := func(part float64) float64 {
		return float64(m.took[min(int(part*float64(m.Count)), m.Count-1)].Microseconds()) / 1000
	}
	m.P50, m.P90, m.P99, m.Longest = at(0.5), at(0.9), at(0.99), at(1)
}
