package broker

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"servicebroker/console"
	"servicebroker/handover"
	"servicebroker/tns"
)

// inProcess is a successor that is no process of its own.
type inProcess struct {
	stop   context.CancelFunc
	ended  chan struct{}
	killed atomic.Pointer[func()] // unless it is nil, called when it is killed
}

func (*inProcess) PID() int    { return os.Getpid() }
func (p *inProcess) Release()  {}
func (*inProcess) Ended() bool { return false }
func (p *inProcess) Kill() {
	if told := p.killed.Load(); told != nil {
		(*told)()
	}
	p.stop()
}
func (p *inProcess) Wait() error { <-p.ended; return nil }

// succeedable is a broker that can be succeeded by others within this process.
func succeedable(t *testing.T, change func(*Config)) (r *running, next chan *running) {
	t.Helper()
	return succeedableOnce(t, change, func(*Broker, *inProcess) {})
}

// succeedableOnce is succeedable; ready is called for each successor that could serve, before it says so.
func succeedableOnce(t *testing.T, change func(*Config), ready func(*Broker, *inProcess)) (r *running, next chan *running) {
	t.Helper()
	config := testConfig(t, change)
	next = make(chan *running, 4)
	var process func(before *Predecessor) Process
	process = func(before *Predecessor) Process {
		return Process{Before: before, Start: func(file *os.File) (Successor, error) {
			own, err := dup(file)
			if err != nil {
				return nil, err
			}
			ctx, cancel := context.WithCancel(context.Background())
			p := &inProcess{stop: cancel, ended: make(chan struct{})}
			go func() {
				defer close(p.ended)
				channel, err := handover.Open(own)
				if err != nil {
					return
				}
				before, err := Succeed(ctx, channel)
				if err != nil {
					return
				}
				b, err := NewIn(process(before), config, slog.New(slog.NewTextHandler(t.Output(), nil)))
				if err != nil {
					before.Refuse(err)
					return
				}
				ready(b, p)
				next <- run(t, b)
			}()
			return p, nil
		}}
	}
	b, err := NewIn(process(nil), config, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return run(t, b), next
}

func dup(file *os.File) (*os.File, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var own *os.File
	failed := raw.Control(func(n uintptr) {
		var number int
		if number, err = dupCloseOnExec(int(n)); err == nil {
			own = os.NewFile(uintptr(number), "handover")
		}
	})
	return own, errors.Join(err, failed)
}

func TestRegistrationsMoveToASuccessor(t *testing.T) {
	r, next := succeedable(t, nil)
	r.register("s1", "sales")
	at := r.Addresses()[0]
	u, err := r.Upgrade(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := <-next
	if u.Generation != 2 || len(u.Moved) == 0 || u.Moved[0] != (console.Moved{What: "registrations", Moved: 1}) {
		t.Errorf("%+v", u)
	}
	if after.Addresses()[0] != at {
		t.Errorf("it listens at %v, before at %v", after.Addresses(), at)
	}
	if _, reply := after.ask(sales); reply == nil {
		t.Error("no answer")
	} else if _, ok := reply.(*tns.Accept); !ok {
		t.Errorf("a client is answered %T %v", reply, reply)
	}
	for deadline := time.Now().Add(10 * time.Second); after.open.count()["registration"] != 1; {
		if time.Now().After(deadline) {
			t.Fatalf("%v", after.open.count())
		}
	}
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	r.ended <- nil
}

func dupCloseOnExec(n int) (int, error) { return unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 0) }
