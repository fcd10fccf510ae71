package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/journal"
)

// pipeListener takes connections that are made in memory.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// piped serves s in memory, with the time limits that a broker sets, for the length of a test.
func piped(t *testing.T, s *Server) *pipeListener {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s.Handler(), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	ended := make(chan struct{})
	go func() { defer close(ended); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return l
}

// reader is a client of a stream.
type reader struct {
	net.Conn
	lines *bufio.Reader
}

// open asks for a stream and reads the header of the answer.
func (l *pipeListener) open(t *testing.T, path string, header ...string) *reader {
	t.Helper()
	mine, theirs := net.Pipe()
	t.Cleanup(func() { mine.Close() })
	l.conns <- theirs
	fmt.Fprintf(mine, "GET %s HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n", path, strings.Join(append(header, ""), "\r\n"))
	r := &reader{mine, bufio.NewReader(mine)}
	if status := r.line(t); status != "HTTP/1.0 200 OK" {
		t.Fatalf("%s: %s", path, status)
	}
	for r.line(t) != "" {
	}
	return r
}

func (r *reader) line(t *testing.T) string {
	t.Helper()
	text, err := r.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, text)
	}
	return strings.TrimRight(text, "\r\n")
}

// block reads up to an empty line.
func (r *reader) block(t *testing.T) string {
	t.Helper()
	var lines []string
	for {
		line := r.line(t)
		if line == "" {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, line)
	}
}

func (r *reader) wantEvent(t *testing.T, id uint64) {
	t.Helper()
	got := r.block(t)
	if want := fmt.Sprintf("id: %d\ndata: {\"id\":%d,", id, id); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
		t.Fatalf("%q, want event %d", got, id)
	}
}

// wantAlive reads a sign of life, which says how far the stream has got.
func (r *reader) wantAlive(t *testing.T, id uint64) {
	t.Helper()
	if got, want := r.block(t), fmt.Sprintf(": alive\nretry: 2000\nid: %d", id); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperated(t)
		o.happen(5)
		l := piped(t, o.Server)
		r := l.open(t, "/api/v1/events")
		r.wantAlive(t, 5) // nothing of before
		o.happen(2)
		r.wantEvent(t, 6)
		r.wantEvent(t, 7)
		r.wantAlive(t, 7) // after a while; far beyond the server's time limits it still lives
		for range 20 {
			r.wantAlive(t, 7)
		}
		o.happen(1)
		r.wantEvent(t, 8)

		r = l.open(t, "/api/v1/events?kind=moved&limit=1")
		r.wantEvent(t, 7)
		o.happen(3)
		r.wantEvent(t, 10)
		r.wantAlive(t, 11) // which says that 11 did not fit
	})
}

func TestStreamGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		path, header string
		first        uint64
	}{
		"since an id":            {"?since=3", "", 4},
		"since the oldest":       {"?since=0", "", 1},
		"since a time":           {"?since=2030-05-06T11:58:00Z", "", 4},
		"after a break":          {"", "Last-Event-ID: 2", 3},
		"after the first break":  {"?since=1", "Last-Event-ID: 4", 5},
		"after an earlier life":  {"", "Last-Event-ID: 4711", 1},
		"some of before":         {"?limit=2", "", 4},
		"those of one kind":      {"?since=0&kind=moved", "", 2},
		"the break of a limited": {"?limit=3", "Last-Event-ID: 4", 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOperated(t)
				o.happen(5)
				r := piped(t, o.Server).open(t, "/api/v1/events"+c.path, c.header)
				if c.path != "?limit=2" {
					r.block(t) // sign of life
				}
				r.wantEvent(t, c.first)
			})
		})
	}
}

// More than is written at once arrives whole and in order, and what does not fit is not looked at again and again.
func TestStreamOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperated(t)
		const many = 5*streamBatch + 7
		o.happen(many)
		r := piped(t, o.Server).open(t, "/api/v1/events?since=0")
		r.wantAlive(t, 0)
		for id := uint64(1); id <= many; id++ {
			r.wantEvent(t, id)
		}
		r.wantAlive(t, many)
		one := stream{by: o.all()}
		one.filter.Service = "none"
		if more, err := one.sendNew(&o.journal); more || err != nil || one.last != many {
			t.Errorf("%v, %v, got to %d", more, err, one.last)
		}
	})
}

// A reader that does not read is cut off, and until then nobody waits for it.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperated(t)
		l := piped(t, o.Server)
		slow, quick := l.open(t, "/api/v1/events"), l.open(t, "/api/v1/events")
		slow.wantAlive(t, 0)
		quick.wantAlive(t, 0)
		began := time.Now()
		o.happen(300)
		for id := uint64(1); id <= 300; id++ {
			quick.wantEvent(t, id)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("the quick one waited %v", took)
		}
		<-time.After(streamPatience + time.Millisecond)
		synctest.Wait()
		if n := o.streams.open(); n != 1 {
			t.Errorf("%d streams are open", n)
		}
		if _, err := slow.lines.ReadString('x'); err == nil {
			t.Error("the slow one is not cut off")
		}
	})
}

func TestStreamEndsWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperated(t)
		stopping := make(chan struct{})
		o.Stopping = stopping
		r := piped(t, o.Server).open(t, "/api/v1/events")
		r.wantAlive(t, 0)
		o.journal.Add(journal.Event{Kind: journal.Stopping})
		close(stopping)
		r.wantEvent(t, 1)
		if _, err := r.lines.ReadByte(); err == nil {
			t.Error("it goes on")
		}
		synctest.Wait()
		if n := o.streams.open(); n != 0 {
			t.Errorf("%d streams are open", n)
		}
	})
}

func TestStreamEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperated(t)
		r := piped(t, o.Server).open(t, "/api/v1/events")
		r.wantAlive(t, 0)
		r.Close()
		synctest.Wait()
		if n := o.streams.open(); n != 0 {
			t.Errorf("%d streams are open", n)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperated(t)
		l := piped(t, o.Server)
		for range maxStreams {
			l.open(t, "/api/v1/events").wantAlive(t, 0)
		}
		stream := func(method, header string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(method, "http://localhost/api/v1/events", nil)
			r.Header.Set("Accept", streamType)
			r.Header.Set("Last-Event-ID", header)
			o.Handler().ServeHTTP(w, r)
			return w
		}
		if body := wantAnswer(t, stream("GET", ""), 503); !strings.Contains(body, "64 streams") {
			t.Error(body)
		}
		wantAnswer(t, stream("GET", "x"), 400)
		if n := o.streams.open(); n != maxStreams {
			t.Errorf("%d streams are counted", n)
		}
		o.streams.leave("")
		if w := stream("HEAD", ""); w.Code != 200 || w.Header().Get("Content-Type") != streamType || w.Body.Len() > 0 {
			t.Errorf("HEAD: %d %v %s", w.Code, w.Header(), w.Body)
		}
		o.streams.enter("")
	})
}

// follow reads events with the client until so many have come.
func follow(t *testing.T, c *Client, f *EventFilter, n int) []journal.Event {
	t.Helper()
	var got []journal.Event
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := c.Follow(ctx, f, func(e journal.Event) error {
		if got = append(got, e); len(got) == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("%v after %d events", err, len(got))
	}
	return got
}

func TestFollow(t *testing.T) {
	o := newOperated(t)
	stopping := make(chan struct{})
	o.Stopping = stopping
	o.happen(5)
	c := &Client{API: serve(t, o.Handler())}
	since := uint64(2)
	f := EventFilter{Since: &since}
	if got := follow(t, c, &f, 3); ids(got) != "3 4 5" || got[0].Service != "s2" || !got[0].Time.Equal(noon().Add(-3*time.Minute)) {
		t.Errorf("%+v", got)
	}
	if *f.Since != 4 { // the last one was not taken: it comes again
		t.Errorf("it would go on after %d", *f.Since)
	}
	f = EventFilter{Limit: 1, Kinds: []journal.Kind{journal.Moved}}
	if got := follow(t, c, &f, 1); ids(got) != "4" {
		t.Errorf("%s", ids(got))
	}
	close(stopping)
	f = EventFilter{Since: new(uint64)}
	var got []journal.Event
	err := c.Follow(t.Context(), &f, func(e journal.Event) error { got = append(got, e); return nil })
	if err != nil || ids(got) != "1 2 3 4 5" || *f.Since != 5 {
		t.Errorf("a broker that ends: %v, %s, then after %d", err, ids(got), *f.Since)
	}
}

func TestFollowInVain(t *testing.T) {
	o := newOperated(t)
	each := func(journal.Event) error { return nil }
	closed := httptest.NewServer(nil)
	closed.Close()
	for api, want := range map[string]error{closed.URL: ErrUnreachable, serve(t, http.NotFoundHandler()): ErrUnreachable} {
		if err := (&Client{API: api}).Follow(t.Context(), &EventFilter{}, each); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	c := &Client{API: serve(t, o.Handler())}
	var answer *APIError
	if err := c.Follow(t.Context(), &EventFilter{Kinds: []journal.Kind{"move"}}, each); !errors.As(err, &answer) || answer.Status != 400 {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Follow(ctx, &EventFilter{}, each); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := (&Client{API: "nonsense"}).Follow(t.Context(), &EventFilter{}, each); err == nil || errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
	garbled := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", streamType)
		w.Write([]byte("id: 7\ndata: {\n\n"))
	}))
	f := EventFilter{}
	if err := (&Client{API: garbled}).Follow(t.Context(), &f, each); err == nil || !strings.Contains(err.Error(), "cannot be read") || f.Since != nil {
		t.Errorf("%v, %v", err, f.Since)
	}
}

// A broker that says nothing at all is taken to be gone.
func TestFollowGivesUpOnSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, heard, stop := untilSilent(t.Context(), time.Minute)
		defer stop()
		<-time.After(50 * time.Second)
		heard()
		<-ctx.Done()
		if took := time.Since(began); took != 110*time.Second {
			t.Errorf("it took %v", took)
		}
		err := (&Client{API: "http://h:1"}).ended(ctx, errors.New("read interrupted"))
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "too long to answer") {
			t.Errorf("%v", err)
		}
	})
}
