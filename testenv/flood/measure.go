package main

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"servicebroker/tns"
)

// measurer connects to several targets in turn, at a steady pace.
type measurer struct {
	Targets []string // host:port, or host:port/service
	Service string
	Rate    float64 // connects a second to each
	For     time.Duration
	Raw     bool // results have each time that was measured
}

// measured is how long connects took, from the attempt to open a connection to the answer.
type measured struct {
	Target  string    `json:"target"`
	Count   int       `json:"count"`
	Failed  int       `json:"failed"`
	Why     string    `json:"why,omitempty"`
	P50     float64   `json:"p50_ms"`
	P90     float64   `json:"p90_ms"`
	P99     float64   `json:"p99_ms"`
	Longest float64   `json:"longest_ms"`
	Took    []float64 `json:"took_ms,omitempty"`
	took    []time.Duration
}

func (m *measurer) run(ctx context.Context) ([]*measured, error) {
	all := make([]*measured, len(m.Targets))
	for i, t := range m.Targets {
		all[i] = &measured{Target: t}
	}
	var mu sync.Mutex
	var open sync.WaitGroup
	tick := time.NewTicker(time.Duration(float64(time.Second) / m.Rate / float64(len(all))))
	defer tick.Stop()
	began := time.Now()
	for i := 0; time.Since(began) < m.For && ctx.Err() == nil; i++ {
		<-tick.C
		into := all[i%len(all)]
		open.Go(func() {
			address, service, named := strings.Cut(into.Target, "/")
			if !named {
				service = m.Service
			}
			took, err := connect(ctx, address, request(service))
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
		if m.Raw {
			one.Took = milliseconds(one.took)
		}
	}
	return all, nil
}

// refused is an answer that is neither ACCEPT nor REDIRECT.
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
	switch reply.(type) {
	case *tns.Accept, *tns.Redirect:
	default:
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

func milliseconds(took []time.Duration) []float64 {
	all := make([]float64, len(took))
	for i, one := range took {
		all[i] = float64(one.Microseconds()) / 1000
	}
	return all
}
