package drivers

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"
)

// command runs a command of the broker's program against the broker's admin socket.
func (b *broker) command(t *testing.T, wantCode int, arguments ...string) string {
	t.Helper()
	said, code, err := b.Command(t.Context(), arguments...)
	must(t, err)
	if code != wantCode {
		t.Fatalf("broker %v: exit code %d instead of %d: %s", arguments, code, wantCode, said)
	}
	return said
}

// intentList is what the API tells of what operators want.
type intentList struct {
	Intents []struct {
		ID       string `json:"id"`
		Kind     string `json:"kind"`
		Progress struct {
			SessionsAtStart int  `json:"sessions_at_start"`
			SessionsLeft    int  `json:"sessions_left"`
			Ended           int  `json:"ended"`
			Done            bool `json:"done"`
			DeadlinePassed  bool `json:"deadline_passed"`
		} `json:"progress"`
	} `json:"intents"`
}

// lasting is a session that works without pause until somebody ends it.
type lasting struct {
	conn  *gooraConnection
	leave chan struct{} // closed: it is to end by itself
	over  chan struct{} // closed: it is over
	cut   time.Time     // when it was cut; zero: it was not
}

func startLasting(t *testing.T, target string) *lasting {
	t.Helper()
	conn, err := GoOra{}.connect(t.Context(), open("", target))
	must(t, err)
	l := &lasting{conn: conn, leave: make(chan struct{}), over: make(chan struct{})}
	ctx := t.Context()
	go func() { // ends when it is told to leave, or cut; end waits for that
		defer close(l.over)
		ticks := time.NewTicker(20 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-l.leave:
				_ = conn.close()
				return
			case <-ticks.C:
			}
			var one int
			if err := conn.conn.QueryRowContext(ctx, "select 1 from dual").Scan(&one); err != nil {
				l.cut = time.Now()
				_ = conn.close()
				return
			}
		}
	}()
	t.Cleanup(l.end)
	return l
}

func (l *lasting) end() {
	select {
	case <-l.leave:
	default:
		close(l.leave)
	}
	<-l.over
}

// drainTimeout is how long sessions may go on in these tests.
const drainTimeout = 5 * time.Second

// An instance that is drained under load gets no connection once the operator's command has its answer; sessions there
// go on until the deadline, and not beyond; and the counts are right.
func TestDrainUnderLoad(t *testing.T) {
	b, databases := pair(t)
	tap := startTap(t, b.address)
	load := Load{Drivers: []Looper{GoOra{}}, Rate: fastRate, Service: "sales"}.Start(t.Context(), tap)
	const leaving, staying = 2, 3
	var sessions []*lasting
	for range leaving + staying {
		sessions = append(sessions, startLasting(t, b.descriptor("(SERVICE_NAME=sales)(INSTANCE_NAME=sales1)")))
	}
	must(t, load.Await(bound(t), fastRate))

	asked := time.Now()
	drain := startProcess(t, "drain", programs.broker, "--api", "unix:"+b.Socket, "drain", "--service", "sales", "--instance", "sales1",
		"--timeout", drainTimeout.String(), "--end-sessions", "--reason", "a test", "--wait")
	line := drain.waitLog(t, regexp.MustCompile(`(?m)^.*\bsessions?\b.*$`))
	began := time.Now()
	t.Logf("it says %q", line[0])
	var leave sync.WaitGroup
	for _, s := range sessions[:leaving] {
		leave.Go(s.end)
	}
	leave.Wait()
	for i, s := range sessions[leaving:] {
		select {
		case <-s.over:
		case <-time.After(patience):
			t.Fatalf("session %d is never ended", i)
		}
		// It began between the command and its answer, and this machine may be slow to tell of the end.
		if least, most := s.cut.Sub(began), s.cut.Sub(asked); most < drainTimeout || least > 2*drainTimeout {
			t.Errorf("session %d was cut %v to %v after the drain began, its time is %v", i, least, most, drainTimeout)
		}
	}
	if code, _ := drain.waitExit(t, patience); code != 0 {
		t.Errorf("drain --wait ended with code %d", code)
	}
	connects, err := load.Stop()
	must(t, err)
	before, late, elsewhere := 0, 0, 0
	for _, c := range connects {
		switch {
		case c.Error != "":
			t.Errorf("connect %d: %s", c.N, c.Error)
		case c.Started().After(began) && c.Answer == "sales1":
			late++
		case c.Started().After(began):
			elsewhere++
		default:
			before++
		}
	}
	if late > 0 || elsewhere == 0 {
		t.Errorf("%d connects came to the drained instance, %d to the other", late, elsewhere)
	}
	judgeDrain(t, b, staying, leaving+staying, before)
	databases[0].awaitSessions(t, 0)
	b.command(t, 0, "resume", "--service", "sales", "--instance", "sales1")
	eventually(t, patience, func() error {
		at, err := visited(work(t, GoOra{}, visit(b.descriptor("(SERVICE_NAME=sales)")), nil))
		if err == nil && at != "sales1" {
			err = fmt.Errorf("resumed, and clients still arrive at %s", at)
		}
		return err
	})
}

// judgeDrain compares the counts of the one drain there is, before which a load had begun so many connects.
func judgeDrain(t *testing.T, b *broker, ended, atStart, load int) {
	t.Helper()
	var list intentList
	must(t, json.Unmarshal([]byte(b.command(t, 0, "--output", "json", "intents")), &list))
	if len(list.Intents) != 1 || list.Intents[0].Kind != "drain" {
		t.Fatalf("intents: %+v", list)
	}
	// Connects of the load may have been under way as well when it began, and where the machine is slow still when it ended.
	p := list.Intents[0].Progress
	others := p.SessionsAtStart - atStart
	if p.SessionsLeft != 0 || !p.Done || others < 0 || others > load || p.Ended < ended || p.Ended > ended+others {
		t.Errorf("progress is %+v, want %d ended, none left, at least %d at the start", p, ended, atStart)
	}
}

// One service of an instance is drained by itself; clients of its others stay welcome there, and what else operators
// may want has its effect.
func TestIntents(t *testing.T) {
	s := startScene(t)
	for _, mode := range s.modes {
		t.Run(mode, func(t *testing.T) {
			b := s.brokers[mode]
			reach := func(service string) (instances []string) {
				results := work(t, GoOra{}, connectLoop(b.descriptor("(SERVICE_NAME="+service+")"), 10), nil)
				for i := range 10 {
					at, err := visited(results[3*i : 3*i+3])
					if err != nil {
						t.Errorf("%s: %v", service, err)
					}
					if !slices.Contains(instances, at) {
						instances = append(instances, at)
					}
				}
				slices.Sort(instances)
				return instances
			}
			want := func(service string, want ...string) {
				t.Helper()
				if got := reach(service); !slices.Equal(got, want) {
					t.Errorf("clients of %s arrive at %v instead of %v", service, got, want)
				}
			}
			b.command(t, 0, "drain", "--service", "sales", "--instance", "sales1")
			want("sales", "sales2")
			want("pdb1", "sales1")
			b.command(t, 0, "resume", "--service", "sales", "--instance", "sales1")
			b.command(t, 0, "weight", "--instance", "sales2", "0")
			want("sales", "sales1")
			b.command(t, 0, "weight", "--instance", "sales2", "100")
			b.command(t, 0, "hold", "--service", "pdb1")
			load := Load{Drivers: []Looper{GoOra{}}, Rate: fastRate, Service: "pdb1", Count: 5}.Start(t.Context(), s.taps[mode])
			b.awaitHeld(t, 5)
			reach("sales") // not held
			b.command(t, 0, "release", "--service", "pdb1")
			<-load.Ended()
			connects, err := load.Stop()
			must(t, err)
			for _, c := range connects {
				if c.Error != "" || c.Answer != "sales1" {
					t.Errorf("held connect %d: at %q, %s", c.N, c.Answer, c.Error)
				}
			}
		})
	}
}
