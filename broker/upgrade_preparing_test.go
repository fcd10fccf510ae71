package broker

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/tns"
)

// A successor that still reads its configuration when this broker is told to end has copies of the listening sockets: it is gone before
// those here close, so that nobody is let in whom nobody will answer.
func TestASuccessorIsGoneBeforeThePortsClose(t *testing.T) {
	for name, end := range map[string]func(*running){
		"signal":   func(r *running) { r.stop() },
		"shutdown": func(r *running) { r.Shutdown(console.ShutdownRequest{}) },
	} {
		t.Run(name, func(t *testing.T) {
			has, gone := make(chan *stranger), make(chan struct{})
			b := strangelySucceeded(t, func(s *stranger, k *talk) {
				k.greet(goodHello())
				for {
					r, err := k.Receive(k.ctx)
					if err != nil {
						return
					}
					defer closeFiles(r.Files)
					if r.Kind == recordPrepared {
						break
					}
				}
				has <- s
				<-s.killed
				<-gone
			})
			b.upgrade.last = time.Hour // however slow this host is
			r := run(t, b)
			upgraded := make(chan error, 1)
			go func() {
				_, err := r.Upgrade(t.Context())
				upgraded <- err
			}()
			s := <-has
			end(r)
			select {
			case <-s.killed:
				r.wantCode(sales, tns.CodeUnknownService)
			case err := <-r.ended:
				t.Error("it has ended, and the successor goes on")
				r.ended <- err
				s.Kill()
			}
			close(gone)
			problem, ok := errors.AsType[*console.APIError](<-upgraded)
			if !ok || problem.Status != http.StatusConflict || !strings.Contains(problem.Message, "told to end") {
				t.Errorf("%+v", problem)
			}
			r.ended <- <-r.ended
			if c, err := net.Dial("tcp", r.Addresses()[0]); err == nil {
				c.Close()
				t.Error("somebody still listens")
			}
			if _, err := r.Upgrade(t.Context()); err == nil {
				t.Error("another successor is started")
			}
		})
	}
}
