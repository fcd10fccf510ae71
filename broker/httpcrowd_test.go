package broker

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// pretended is a connection that tells whether it was closed.
type pretended struct {
	net.Conn
	closed bool
}

func (p *pretended) Close() error { p.closed = true; return nil }

func TestTheIdleMakeRoomAtHTTPAddresses(t *testing.T) {
	h := httpCrowd{most: 3}
	var all [8]*pretended
	for i := range all {
		all[i] = &pretended{}
	}
	for _, i := range []int{0, 1, 2} {
		h.note(all[i], http.StateNew)
	}
	h.note(all[0], http.StateActive)
	h.note(all[0], http.StateIdle) // later than the others said something
	h.note(all[3], http.StateNew)
	h.note(all[4], http.StateNew)
	if !all[1].closed || !all[2].closed || all[0].closed {
		t.Errorf("%v %v %v", *all[0], *all[1], *all[2])
	}
	h.note(all[1], http.StateClosed)
	for _, i := range []int{0, 3, 4} {
		h.note(all[i], http.StateActive)
	}
	h.note(all[5], http.StateNew)
	if all[0].closed || all[3].closed || all[4].closed || !all[5].closed {
		t.Error("a request was cut for a newcomer")
	}
	h.note(all[5], http.StateClosed)
	h.note(all[0], http.StateClosed)
	h.note(all[6], http.StateNew)
	if all[6].closed || h.endedSoFar() != 3 {
		t.Errorf("there was room; %d had to go", h.endedSoFar())
	}
}

// Who only connects to page or admin socket keeps nobody from asking there.
func TestAdministrationIsReachedBesideACrowd(t *testing.T) {
	r := start(t, nil)
	for _, at := range []struct{ network, address string }{{"tcp", r.ConsoleAddress()}, {"unix", r.SocketPath()}} {
		for range 2 * mostHTTP {
			c, err := net.Dial(at.network, at.address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = c.Write([]byte("GET /api/v1/sta"))
		}
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial(at.network, at.address) }, DisableKeepAlives: true}}
		answer, err := client.Get("http://broker/livez")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode >= http.StatusInternalServerError {
			t.Error(answer.Status)
		}
	}
	until(t, "the crowds are bounded", func() bool {
		for i := range r.overload.http {
			h := &r.overload.http[i]
			h.mu.Lock()
			n := len(h.all)
			h.mu.Unlock()
			if n > mostHTTP {
				return false
			}
		}
		return true
	})
}
