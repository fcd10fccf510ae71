package broker

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"servicebroker/console"
	"servicebroker/handover"
	"servicebroker/tns"
)

// stranger is a program that is started as a successor and does something else. It lives until it is killed or has done that.
type stranger struct {
	ended  chan struct{}
	killed chan struct{}
	kill   sync.Once
}

func (*stranger) PID() int      { return os.Getpid() }
func (s *stranger) Kill()       { s.kill.Do(func() { close(s.killed) }) }
func (s *stranger) Wait() error { <-s.ended; return nil }
func (*stranger) Release()      {}
func (s *stranger) Ended() bool { return isClosed(s.ended) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// talk is one end of a channel that says what it likes.
type talk struct {
	*handover.Channel
	raw *net.UnixConn // the same end, for what no channel would send
	ctx context.Context
}

func (k *talk) greet(hello handover.Hello) {
	_, _, _ = k.Greet(k.ctx, hello)
}

// until takes records until one is of a kind.
func (k *talk) until(kind string) {
	for {
		r, err := k.Receive(k.ctx)
		if err != nil {
			return
		}
		closeFiles(r.Files)
		if r.Kind == kind {
			return
		}
	}
}

func (k *talk) say(kind string, body any, files ...*os.File) {
	_ = k.Send(k.ctx, kind, body, files...)
}

func (k *talk) write(bytes string) { _, _ = k.raw.Write([]byte(bytes)) }

// talks makes what talks at a file's end of a channel until it is killed.
func talks(file *os.File, killed <-chan struct{}, do func(*talk)) error {
	own, err := dup(file)
	if err != nil {
		return err
	}
	defer own.Close()
	made, err := net.FileConn(own)
	if err != nil {
		return err
	}
	defer made.Close()
	channel, err := handover.Open(own)
	if err != nil {
		return err
	}
	defer channel.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-killed:
		case <-ctx.Done():
		}
		cancel()
	}()
	do(&talk{channel, made.(*net.UnixConn), ctx})
	return nil
}

// strangelySucceeded makes a broker whose successor is a stranger that talks as told, until it has or is killed.
func strangelySucceeded(t *testing.T, do func(*stranger, *talk)) *Broker {
	t.Helper()
	b, err := NewIn(Process{Start: func(file *os.File) (Successor, error) {
		s := &stranger{ended: make(chan struct{}), killed: make(chan struct{})}
		own, err := dup(file)
		if err != nil {
			return nil, err
		}
		go func() {
			defer close(s.ended)
			defer own.Close()
			_ = talks(own, s.killed, func(k *talk) { do(s, k) })
		}()
		return s, nil
	}}, testConfig(t, nil), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goodHello() handover.Hello {
	return handover.Hello{Program: programName, Version: "9.9", PID: os.Getpid(), Oldest: oldestFormat, Newest: newestFormat}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Whatever is started as a successor, the broker serves on, says why soon enough, and keeps nothing of it.
func TestStrangeSuccessors(t *testing.T) {
	ready := func(k *talk) {
		k.greet(goodHello())
		k.until(recordPrepared)
		k.say(recordReady, struct{}{})
		k.until(recordCommit)
	}
	hangs := func(k *talk) { <-k.ctx.Done() }
	head := func(what, kind byte, files byte, length string) string {
		return "SBH1" + string([]byte{what, kind, 0, files}) + "\x00\x00\x00\x00\x00\x00\x00\x01" + length + "\x00\x00\x00\x00"
	}
	const long = 20 * time.Second // what is to be over sooner says within which time
	for name, c := range map[string]struct {
		do   func(*talk)
		want string
	}{
		"says nothing":       {hangs, "did not answer within 300ms"},
		"ends at once":       {func(*talk) {}, "without a complaint"},
		"says nonsense":      {func(k *talk) { k.write("HTTP/1.1 400 Bad Request\r\n\r\n"); hangs(k) }, "damaged"},
		"is another program": {func(k *talk) { k.greet(handover.Hello{Program: "webserver"}); hangs(k) }, `no servicebroker but "webserver"`},
		"is too new": {func(k *talk) {
			k.greet(handover.Hello{Program: programName, Version: "9", Oldest: 90, Newest: 99})
			hangs(k)
		}, "no format in common"},
		"greets otherwise":               {func(k *talk) { k.say("welcome", 1); hangs(k) }, `begins with "welcome"`},
		"greets in another form":         {func(k *talk) { k.say("hello", []int{1}); hangs(k) }, "damaged"},
		"greets and hangs":               {func(k *talk) { k.greet(goodHello()); hangs(k) }, "not ready within 2s"},
		"greets and ends":                {func(k *talk) { k.greet(goodHello()) }, "before it could serve"},
		"sends half a record":            {func(k *talk) { k.greet(goodHello()); k.write(head(1, 5, 0, "\x00\x00\x00\x09") + "rea"); hangs(k) }, "not ready within 2s"},
		"sends half a record and ends":   {func(k *talk) { k.greet(goodHello()); k.write(head(1, 5, 0, "\x00\x00\x00\x09") + "rea") }, "before it could serve"},
		"sends too much":                 {func(k *talk) { k.greet(goodHello()); k.write(head(1, 5, 0, "\xff\xff\xff\xff") + "ready"); hangs(k) }, "damaged"},
		"promises files":                 {func(k *talk) { k.greet(goodHello()); k.write(head(1, 5, 3, "\x00\x00\x00\x02") + "ready{}"); hangs(k) }, "damaged"},
		"says things of a later version": {func(k *talk) { k.greet(goodHello()); k.say("later", map[string]int{"x": 1}, os.Stderr); ready(k) }, "before it could serve"},
		"fails":                          {func(k *talk) { k.greet(goodHello()); k.say(recordFailed, "the moon is full"); hangs(k) }, "the moon is full"},
		"fails in another form":          {func(k *talk) { k.greet(goodHello()); k.say(recordFailed, 7); hangs(k) }, "7"},
		"is ready and hangs":             {func(k *talk) { ready(k); hangs(k) }, "did not serve within 2s"},
		"is ready and ends":              {ready, "before it could serve"},
		"is ready and fails":             {func(k *talk) { ready(k); k.say(recordFailed, "after all not"); hangs(k) }, "after all not"},
		"serves and ends":                {func(k *talk) { ready(k); k.say(recordServing, struct{}{}) }, "before it had served for a second"},
	} {
		t.Run(name, func(t *testing.T) {
			b := strangelySucceeded(t, func(_ *stranger, k *talk) { c.do(k) })
			b.upgrade.prepare, b.upgrade.commit, b.upgrade.last = long, long, 50*time.Millisecond
			b.upgrade.trial, b.upgrade.settle = long, long
			if what, text, is := strings.Cut(c.want, " within "); is {
				limit, err := time.ParseDuration(text)
				if err != nil {
					t.Fatal(err)
				}
				if what == "did not serve" {
					b.upgrade.commit = limit
				} else {
					b.upgrade.prepare = limit
				}
			}
			r := run(t, b)
			r.wantCode(sales, tns.CodeUnknownService)
			before := descriptors(t)
			_, err := r.Upgrade(t.Context())
			problem, ok := errors.AsType[*console.APIError](err)
			if !ok || !strings.Contains(problem.Message, c.want) || problem.Hint == "" {
				t.Errorf("%v, want %q", err, c.want)
			}
			r.wantCode(sales, tns.CodeUnknownService)
			if all := r.Generations(); len(all) != 1 || all[0].State != console.GenerationServing {
				t.Errorf("%+v", all)
			}
			for limit := time.Now().Add(10 * time.Second); descriptors(t) > before+5; { // those of the answers above, and of what the broker watches, are open for a moment
				if time.Now().After(limit) {
					t.Fatalf("%d files are open instead of %d", descriptors(t), before)
				}
			}
		})
	}
}

// A successor that ends in the very moment in which its trial is over has not lasted, whatever is heard first.
func TestASuccessorThatEndsAsItsTrialDoes(t *testing.T) {
	for range 8 { // by halves it was taken for one that goes on
		b := strangelySucceeded(t, func(_ *stranger, k *talk) {
			k.greet(goodHello())
			k.until(recordPrepared)
			k.say(recordReady, struct{}{})
			k.until(recordCommit)
			k.say(recordServing, struct{}{})
			k.until(movedRegistration)
		})
		b.upgrade.trial, b.upgrade.settle = 0, 0
		r := run(t, b)
		r.register("s1", "sales")
		if _, err := r.Upgrade(t.Context()); err == nil || !strings.Contains(err.Error(), "before it had served for a second") {
			t.Errorf("%v", err)
		}
		if _, reply := r.ask(sales); !isAccept(reply) {
			t.Errorf("a client is answered %v", reply)
		}
	}
}

// Whatever has started a successor, that does not serve by it, nor wait for ever.
func TestStrangePredecessors(t *testing.T) {
	pipe := func() *os.File {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		out.Close()
		t.Cleanup(func() { in.Close() })
		return in
	}
	key := socketKey{Kind: socketListener, Address: "127.0.0.1:0"}
	for name, c := range map[string]struct {
		do   func(*talk)
		want string // "": it learns all it needs
	}{
		"says nothing":            {func(k *talk) { <-k.ctx.Done() }, "deadline"},
		"is gone":                 {func(*talk) {}, "gone"},
		"says nonsense":           {func(k *talk) { k.write(strings.Repeat("x", 100)) }, "damaged"},
		"is another program":      {func(k *talk) { k.greet(handover.Hello{Program: "webserver"}) }, "webserver"},
		"is too new":              {func(k *talk) { k.greet(handover.Hello{Program: programName, Oldest: 90, Newest: 99}) }, "no format in common"},
		"greets and ends":         {func(k *talk) { k.greet(goodHello()) }, "gone"},
		"a socket without a file": {func(k *talk) { k.greet(goodHello()); k.say(recordSocket, key) }, "0 files"},
		"a socket with two":       {func(k *talk) { k.greet(goodHello()); k.say(recordSocket, key, pipe(), pipe()) }, "2 files"},
		"a socket twice": {func(k *talk) {
			k.greet(goodHello())
			k.say(recordSocket, key, pipe())
			k.say(recordSocket, key, pipe())
		}, "cannot be understood"},
		"a folder without a lock": {func(k *talk) { k.greet(goodHello()); k.say(recordState, statePassed{"/x"}) }, "0 files"},
		"a part that is none":     {func(k *talk) { k.greet(goodHello()); k.say(recordPart, []int{1}, pipe()) }, "cannot be understood"},
		"things of a later version": {func(k *talk) {
			k.greet(goodHello())
			k.say("later", 1, pipe())
			k.say(recordPart, partPassed{"later", json.RawMessage("{}")}, pipe())
			k.say(recordPart, partPassed{"later", json.RawMessage("[]")}, pipe())
			k.say(recordPrepared, struct{}{})
			k.until(recordReady)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := descriptors(t)
			ours, theirs, err := handover.Pair()
			if err != nil {
				t.Fatal(err)
			}
			ended, killed := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				_ = talks(theirs, killed, c.do)
				if name == "says nonsense" { // which is to be read before anything is written
					<-killed
				}
				theirs.Close()
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if name == "says nothing" {
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			defer cancel()
			p, err := Succeed(ctx, ours)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "":
				p.Refuse(errors.New("enough"))
			case err == nil || !strings.Contains(err.Error(), c.want):
				t.Errorf("%v, want %q", err, c.want)
			}
			close(killed)
			<-ended
			if after := descriptors(t); after > before+3 { // those of pipes that are the test's
				t.Errorf("%d files are open instead of %d", after, before)
			}
		})
	}
}

// A successor that is given what is no socket, or a socket of another sort, says so.
func TestSocketsThatAreNone(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	for name, one := range map[string]*os.File{"a device": file, "no listener": os.NewFile(uintptr(pair[0]), "pair")} {
		before := descriptors(t)
		p := &Predecessor{sockets: map[socketKey]*os.File{{Kind: socketListener, Address: "127.0.0.1:0"}: one}, hello: handover.Hello{Generation: 1}}
		b, err := NewIn(Process{Before: p}, testConfig(t, nil), nil)
		if err == nil {
			b.closeListeners()
			t.Errorf("%s: it is listened on", name)
		}
		if after := descriptors(t); after > before-1 {
			t.Errorf("%s: %d files are open instead of %d", name, after, before-1)
		}
	}
}

// FuzzRecords feeds a successor with records whose kind is known and whose content may be anything.
func FuzzRecords(f *testing.F) {
	config := DefaultConfig()
	config.Addresses[0].Host, config.Addresses[0].Port = "127.0.0.1", 0
	config.ConsoleAddress, config.StateDirectory = "", filepath.Join(f.TempDir(), "state")
	b, err := New(config, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { b.closeListeners() })
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	b.process.Before = &Predecessor{ended: make(chan struct{})}
	kinds := []string{recordLeft, recordMoved, recordEvents, recordRetained, "unknown"}
	for _, m := range b.movers() {
		kinds = append(kinds, m.kind)
	}
	for n, part := range b.parts() {
		state, _, err := part.give()
		text, failed := json.Marshal(state)
		if err := errors.Join(err, failed); err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(len(kinds)+n), text)
	}
	b.journal.Resume()
	for n := range kinds {
		for _, seed := range []string{`{}`, `[]`, `null`, `{"id":"1","registration":{"id":"1","services":[{"name":"a"}]}}`, `[{"kind":"upgraded","time":"2030-01-01T00:00:00Z"}]`, `{"sessions":-1,"until":"0001-01-01T00:00:00Z"}`} {
			f.Add(uint8(n), []byte(seed))
		}
	}
	f.Fuzz(func(_ *testing.T, which uint8, body []byte) {
		if at := int(which); at < len(kinds) {
			begin, err := b.takeThing(ended, &handover.Record{Kind: kinds[at], Body: body})
			if err == nil && begin != nil {
				begin(errors.New("it was lost on its way"))
			}
			return
		}
		part := b.parts()[int(which)%len(b.parts())]
		_ = part.take(body, nil)
	})
}
