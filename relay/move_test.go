package relay

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/tns"
)

// tcpPair returns both ends of a connection whose descriptors can be passed on.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// newTCPWorld is a world whose clients and instances are at TCP sockets.
func newTCPWorld(t *testing.T) *world {
	w := newWorld(t)
	w.tcp = true
	w.Connect = func(_ context.Context, to Destination) (net.Conn, error) {
		near, far := tcpPair(t)
		w.running.Go(func() {
			defer far.Close()
			conn := tns.NewConn(far)
			if connect, err := conn.ReadConnect(); err == nil {
				w.listeners[to.Dial()](conn, connect)
			}
		})
		return near, nil
	}
	w.instance("s1", accepts, "sales")
	return w
}

// open begins a session, and returns the client's side of it.
func (w *world) open() *tns.Conn {
	w.t.Helper()
	client := w.client(sales)
	if m := w.reply(client); m == nil {
		w.t.Fatal("no answer")
	} else if _, ok := m.(*tns.Accept); !ok {
		w.t.Fatalf("answered %T", m)
	}
	echo(w.t, client, "hello")
	return client
}

// takes is an offer as the world answers it, that comes as text and with descriptors of its own.
func (w *world) takes(_ context.Context, m *MovedSession, files []*os.File) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	came := new(MovedSession)
	if err := json.Unmarshal(text, came); err != nil {
		return err
	}
	one, err := w.Adopt(came, []*os.File{duplicate(w.t, files[0]), duplicate(w.t, files[1])})
	if err != nil {
		return err
	}
	w.carry(one)
	return nil
}

// duplicate is what the kernel does with a descriptor that is sent to another process.
func duplicate(t *testing.T, f *os.File) *os.File {
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var copied int
	if cerr := raw.Control(func(fd uintptr) { copied, err = syscall.Dup(int(fd)) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	syscall.CloseOnExec(copied)
	return os.NewFile(uintptr(copied), f.Name())
}

// endings collects what a Server tells of sessions that are over.
type endings struct {
	mu  sync.Mutex
	all []SessionInfo
	why []error
}

func (e *endings) add(s *SessionInfo, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all, e.why = append(e.all, *s), append(e.why, err)
}

func TestSessionsMove(t *testing.T) {
	old, successor := newTCPWorld(t), newTCPWorld(t)
	limit := map[limits.Kind]limits.Limit{limits.OfService: {Sessions: 1}} // less than there are
	oldShares, newShares := old.limit(map[limits.Kind]limits.Limit{}), successor.limit(limit)
	var here, there endings
	var resumed, thawed atomic.Int32
	old.Ended, successor.Ended = here.add, there.add
	successor.Thawed = func(c net.Conn) { thawed.Add(1) }
	successor.Resumed = func(m *MovedSession) Reservation {
		resumed.Add(1)
		if c := m.Candidate(); c.Registration.Key() != "s1@s1.host" || c.Registration.HandlerKey(c.Handler) != "s1@s1.host/DEDICATED" || c.Service.Name != "sales" {
			t.Errorf("it counts at %+v", c)
		}
		return &inOrder{successor, nil}
	}
	clients := []*tns.Conn{old.open(), old.open(), old.open()}
	before := old.Sessions()

	if moved, stayed := old.Move(t.Context(), successor.takes); moved != 3 || stayed != 0 {
		t.Fatalf("%d moved, %d stayed", moved, stayed)
	}
	for _, c := range clients {
		echo(t, c, "and again")
	}
	after := successor.Sessions()
	if len(after) != 3 || len(old.Sessions()) != 0 {
		t.Fatalf("%d there, %d here", len(after), len(old.Sessions()))
	}
	for i := range after {
		want := before[i]
		if after[i].ToServer != want.ToServer+9 || after[i].ToClient != want.ToClient+9 {
			t.Errorf("bytes: %+v, before %+v", after[i], want)
		}
		if !after[i].Started.Equal(want.Started) {
			t.Errorf("started %v, before %v", after[i].Started, want.Started)
		}
		want.ToServer, want.ToClient, want.Idle, want.Started = after[i].ToServer, after[i].ToClient, after[i].Idle, after[i].Started
		if after[i] != want {
			t.Errorf("is\n%+v, was\n%+v", after[i], want)
		}
		if e := successor.Journal.ByRef(want.Ref); e == nil || e.Outcome != journal.Relay || e.Query.Service != "sales" {
			t.Errorf("explained as %+v", e)
		}
	}
	if n := oldShares.Of(limits.OfService, "sales").Sessions.Counts().Now; n != 0 {
		t.Errorf("%d are counted here", n)
	}
	if n := newShares.Of(limits.OfService, "sales").Sessions.Counts().Now; n != 3 {
		t.Errorf("%d are counted there", n)
	}
	successor.wantCode(sales, tns.CodeNoHandler) // the limit holds for others
	if resumed.Load() != 3 || thawed.Load() != 6 {
		t.Errorf("%d counted by the balancer, %d sockets told of", resumed.Load(), thawed.Load())
	}
	for _, c := range clients {
		c.NetConn().Close()
	}
	old.running.Wait()
	successor.running.Wait()
	if len(here.all) != 0 || len(there.all) != 3 || old.released != 3 || successor.released != 4 {
		t.Errorf("%d ends here, %d there; %d and %d released", len(here.all), len(there.all), old.released, successor.released)
	}
	if n := newShares.Of(limits.OfService, "sales").Sessions.Counts().Now; n != 0 {
		t.Errorf("%d are counted at the end", n)
	}
}

func TestMovedSessionsAreEndedAndLimitedAsOthers(t *testing.T) {
	old, successor := newTCPWorld(t), newTCPWorld(t)
	old.IdleTimeout = time.Hour
	var there endings
	successor.Ended = there.add
	shares := successor.limit(map[limits.Kind]limits.Limit{})
	client := old.open()
	if moved, _ := old.Move(t.Context(), successor.takes); moved != 1 {
		t.Fatal("not moved")
	}
	echo(t, client, "there")
	// A reload that puts it under another share.
	other := &limits.Shares{LimitOf: func(limits.Kind, string) limits.Limit { return limits.Limit{} }}
	successor.Shares = func(service string, _ *Rule) []*limits.Share {
		return []*limits.Share{other.Of(limits.OfService, service)}
	}
	successor.Reshare()
	if was, is := shares.Of(limits.OfService, "sales").Sessions.Counts().Now, other.Of(limits.OfService, "sales").Sessions.Counts().Now; was != 0 || is != 1 {
		t.Errorf("counted %d times as before, %d times as now", was, is)
	}
	one := successor.openSessions()[0]
	if link := one.link.Load(); link.IdleTimeout != time.Hour {
		t.Errorf("its idle timeout is %v", link.IdleTimeout)
	}
	if n := successor.EndSessions(func(i *SessionInfo) bool { return i.ID == 1 }, "by hand"); n != 1 {
		t.Fatalf("%d ended", n)
	}
	if _, err := client.NetConn().Read(make([]byte, 1)); err == nil {
		t.Error("the client still reads")
	}
	successor.running.Wait()
	if len(there.why) != 1 || !errors.Is(there.why[0], ErrEnded) {
		t.Errorf("ended by %v", there.why)
	}
	again := successor.open()
	if s := successor.Sessions(); len(s) != 1 || s[0].ID != 2 {
		t.Errorf("the next one is %+v", s)
	}
	again.NetConn().Close()
}

func TestASessionThatIsNotTakenGoesOn(t *testing.T) {
	old := newTCPWorld(t)
	var seen atomic.Int64
	old.Inspect = func(SessionInfo, uint16) func(bool, []byte) {
		return func(toClient bool, b []byte) { seen.Add(int64(len(b))) }
	}
	var here endings
	old.Ended = here.add
	client := old.open()
	declined := errors.New("not here")
	if moved, stayed := old.Move(t.Context(), func(context.Context, *MovedSession, []*os.File) error { return declined }); moved != 0 || stayed != 1 {
		t.Fatalf("%d moved, %d stayed", moved, stayed)
	}
	before := seen.Load()
	echo(t, client, "still here")
	if seen.Load() != before+20 {
		t.Errorf("whoever looks saw %d bytes, then %d", before, seen.Load())
	}
	if s := old.Sessions(); len(s) != 1 || s[0].ToServer != 15 {
		t.Errorf("%+v", s)
	}
	// Once more, and it is ended while the other process thinks about it.
	moved, stayed := old.Move(t.Context(), func(context.Context, *MovedSession, []*os.File) error {
		old.EndSessions(func(*SessionInfo) bool { return true }, "by hand")
		return declined
	})
	if moved != 0 || stayed != 1 {
		t.Errorf("%d moved, %d stayed", moved, stayed)
	}
	old.running.Wait()
	if len(here.why) != 1 || !errors.Is(here.why[0], ErrEnded) || old.released != 1 {
		t.Errorf("ended by %v, %d released", here.why, old.released)
	}
}

// Whoever ends a session ends it wherever it is, also while it is neither here nor there; once it is there, that is not said here.
func TestASessionThatIsToldToEndAsItMovesEndsThere(t *testing.T) {
	old, successor := newTCPWorld(t), newTCPWorld(t)
	var here, there endings
	old.Ended, successor.Ended = here.add, there.add
	client := old.open()
	moved, _ := old.Move(t.Context(), func(ctx context.Context, m *MovedSession, files []*os.File) error {
		if n := old.EndSessions(func(*SessionInfo) bool { return true }, "by hand"); n != 1 {
			t.Errorf("%d ended", n)
		}
		return successor.takes(ctx, m, files)
	})
	if moved != 1 {
		t.Fatal("not moved")
	}
	_, _ = client.NetConn().Write([]byte("x"))
	if _, err := client.NetConn().Read(make([]byte, 1)); err == nil {
		t.Fatal("it goes on")
	}
	successor.running.Wait()
	if len(here.why) != 0 || len(there.why) != 1 {
		t.Errorf("ended here %v, there %v", here.why, there.why)
	}

	client = old.open()
	var late *session // as somebody has found it who is about to end it
	moved, _ = old.Move(t.Context(), func(ctx context.Context, m *MovedSession, files []*os.File) error {
		late = old.openSessions()[0]
		return successor.takes(ctx, m, files)
	})
	if moved != 1 || late.end(ErrEnded) {
		t.Errorf("%d moved, and it was ended here", moved)
	}
	echo(t, client, "there")
}

// A session that is declined, and for whose sockets there is no room here any more either, is over and counted so.
func TestASessionThatIsLostIsOver(t *testing.T) {
	old := newTCPWorld(t)
	var here endings
	old.Ended = here.add
	client := old.open()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	moved, stayed := old.Move(t.Context(), func(context.Context, *MovedSession, []*os.File) error {
		return errors.Join(errors.New("not here"), syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Max: before.Max}))
	})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if moved != 0 || stayed != 1 {
		t.Errorf("%d moved, %d stayed", moved, stayed)
	}
	if _, err := client.NetConn().Read(make([]byte, 1)); err == nil {
		t.Error("the client still reads")
	}
	old.running.Wait()
	if len(here.why) != 1 || !errors.Is(here.why[0], syscall.EMFILE) || old.released != 1 || len(old.Sessions()) != 0 {
		t.Errorf("ended by %v, %d released", here.why, old.released)
	}
}

// One that cannot be frozen is left as it is; here because it has no descriptor.
func TestASessionWithoutDescriptorsStays(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", accepts, "sales")
	client := w.client(sales)
	w.reply(client)
	echo(t, client, "hello")
	moved, stayed := w.Move(t.Context(), func(context.Context, *MovedSession, []*os.File) error { t.Error("offered"); return nil })
	if moved != 0 || stayed != 1 {
		t.Errorf("%d moved, %d stayed", moved, stayed)
	}
	echo(t, client, "hello")
	client.NetConn().Close()
}

func TestSessionsThatBeginLaterMoveToo(t *testing.T) {
	old, successor := newTCPWorld(t), newTCPWorld(t)
	old.Follow(t.Context(), successor.takes) // nothing has moved: nothing follows
	if moved, stayed := old.Move(t.Context(), successor.takes); moved+stayed != 0 {
		t.Fatalf("%d moved, %d stayed", moved, stayed)
	}
	ctx, stop := context.WithCancel(t.Context())
	var following sync.WaitGroup
	taken := make(chan uint64, 8)
	following.Go(func() {
		old.Follow(ctx, func(ctx context.Context, m *MovedSession, files []*os.File) error {
			err := successor.takes(ctx, m, files)
			taken <- m.ID
			return err
		})
	})
	for want := uint64(1); want <= 4; want++ {
		client := old.open()
		if id := <-taken; id != want {
			t.Errorf("session %d moved, want %d", id, want)
		}
		echo(t, client, "there")
	}
	stop()
	following.Wait()
	client := old.open()
	echo(t, client, "here")
	if here, there := len(old.Sessions()), len(successor.Sessions()); here != 1 || there != 4 {
		t.Errorf("%d here, %d there", here, there)
	}
}

// An offer that fails leaves the session here, whatever the other process has done with it by then.
func TestAnOfferThatIsNotAnsweredIsNoMove(t *testing.T) {
	old, successor := newTCPWorld(t), newTCPWorld(t)
	client := old.open()
	ctx, cancel := context.WithCancel(t.Context())
	moved, stayed := old.Move(ctx, func(ctx context.Context, m *MovedSession, files []*os.File) error {
		one, err := successor.Adopt(m, []*os.File{duplicate(t, files[0]), duplicate(t, files[1])})
		if err != nil {
			t.Error(err)
			return err
		}
		defer one.Discard() // it never hears that it may go on
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	if moved != 0 || stayed != 1 {
		t.Errorf("%d moved, %d stayed", moved, stayed)
	}
	echo(t, client, "here")
	client.NetConn().Close()
}

// Once Move says that sessions have moved, nobody finds them here.
func TestMovedSessionsAreGone(t *testing.T) {
	old, successor := newTCPWorld(t), newTCPWorld(t)
	for range 20 {
		old.open()
	}
	if moved, _ := old.Move(t.Context(), successor.takes); moved != 20 || len(old.Sessions()) != 0 {
		t.Errorf("%d moved, and there are %d", moved, len(old.Sessions()))
	}
}

// Bytes go both ways at full speed while the session moves back and forth.
func TestBusySessionsMove(t *testing.T) {
	a, b := newTCPWorld(t), newTCPWorld(t)
	var ended endings
	a.Ended, b.Ended = ended.add, ended.add
	client := a.open()
	const size = 24 << 20
	sent, pattern := make(chan error, 1), make([]byte, 64<<10)
	for i := range pattern {
		pattern[i] = byte(i * 7)
	}
	var over atomic.Bool
	go func() {
		var err error
		for n := 0; n < size && err == nil; n += len(pattern) {
			_, err = client.NetConn().Write(pattern)
		}
		sent <- err
	}()
	var moves atomic.Int64
	var moving sync.WaitGroup
	moving.Go(func() {
		for from, to := a, b; !over.Load(); from, to = to, from {
			moved, stayed := from.Move(t.Context(), to.takes)
			for moved == 0 && stayed == 0 && !over.Load() { // it has come, and not begun yet
				moved, stayed = from.Move(t.Context(), to.takes)
			}
			moves.Add(int64(moved))
			if stayed > 0 {
				t.Error("it was not taken")
				return
			}
		}
	})
	got := make([]byte, len(pattern))
	for n := 0; n < size; n += len(got) {
		if _, err := io.ReadFull(client.NetConn(), got); err != nil {
			t.Fatalf("after %d bytes and %d moves: %v", n, moves.Load(), err)
		}
		for i := range got {
			if got[i] != pattern[i] {
				t.Fatalf("byte %d is wrong after %d moves", n+i, moves.Load())
			}
		}
	}
	over.Store(true)
	moving.Wait()
	if err := <-sent; err != nil {
		t.Error(err)
	}
	t.Logf("%d moves", moves.Load())
	client.NetConn().Close()
	a.running.Wait()
	b.running.Wait()
	if len(ended.all) != 1 || ended.all[0].ToServer != size+5 || ended.all[0].ToClient != size+5 {
		t.Errorf("%+v", ended.all)
	}
}
