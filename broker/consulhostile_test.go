package broker

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestNothingThatAConsulSaysChangesRouting(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"faults": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no leader", http.StatusInternalServerError)
		},
		"nonsense": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"holes":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[null]") },
		"yes":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "true") },
		"empty":    func(http.ResponseWriter, *http.Request) {},
		"a circle": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"no end": func(w http.ResponseWriter, _ *http.Request) {
			block := []byte(strings.Repeat("[{},", 10_000))
			for _, err := w.Write(block); err == nil; {
				_, err = w.Write(block)
			}
		},
		"drops": func(w http.ResponseWriter, r *http.Request) {
			ticks := time.NewTicker(10 * time.Millisecond)
			defer ticks.Stop()
			for _, err := w.Write([]byte(" ")); err == nil; _, err = w.Write([]byte(" ")) {
				w.(http.Flusher).Flush()
				select {
				case <-ticks.C:
				case <-r.Context().Done():
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Consul-Index", strconv.FormatInt(1000-asked.Add(1), 10)) // it goes backwards
				answer(w, r)
			}))
			defer server.Close()
			r := start(t, func(config *Config) { config.Consul.Address, config.HoldTimeout = server.URL, 0 })
			r.register("sales1", "sales")
			for asked.Load() < 5 {
				conn, reply := r.ask(sales)
				if !isAccept(reply) {
					t.Fatalf("answer %T", reply)
				}
				conn.NetConn().Close()
			}
			began := time.Now()
			r.stop()
			if err := <-r.ended; err != nil {
				t.Error(err)
			}
			r.ended <- nil
			if took := time.Since(began); took > 12*time.Second {
				t.Errorf("the broker ended after %v", took)
			}
		})
	}
}
