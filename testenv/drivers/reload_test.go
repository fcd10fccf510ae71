package drivers

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"servicebroker/tns"
)

var reloads = flag.Int("reloads", 100, "how often the configuration is reloaded under load")

// Connects a second while the configuration is reloaded, and sessions that are open all the while.
const (
	reloadRate     = 200
	reloadSessions = 20
)

// The configuration is reloaded again and again, half of the times from a broken file, while clients connect: none of
// them is refused, no session is lost, and nothing is left behind.
func TestReloads(t *testing.T) {
	b := startBroker(t, brokerOptions{program: plainBroker(t), parameters: []string{"HOLD_TIMEOUT=0"}})
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	b.awaitService(t, "sales", "READY", 1)
	descriptor := b.descriptor("(SERVICE_NAME=sales)")

	steps := []Step{}
	for i := range reloadSessions {
		name := fmt.Sprint("s", i)
		steps = append(steps, open(name, descriptor), query(name, whereAmI))
	}
	before := len(steps)
	for i := range reloadSessions {
		name := fmt.Sprint("s", i)
		steps = append(steps, query(name, whereAmI), Step{Do: Close, On: name})
	}
	soak := &reloadSoak{t: t, b: b, file: b.ConfigFile()}
	results := work(t, GoOra{}, steps, func(i int, _ Result) {
		if i == before-1 { // all are open
			soak.run(descriptor)
		}
	})
	for i, r := range results {
		if r.Error != "" {
			t.Errorf("step %d of the open sessions: %s", i, r.Error)
		}
	}
}

// reloadSoak is the reloads, and what becomes of those who connect meanwhile.
type reloadSoak struct {
	t                *testing.T
	b                *broker
	file             string
	connects, failed atomic.Int64
	slowest          atomic.Int64 // of the connects, in nanoseconds
}

func (s *reloadSoak) run(descriptor string) {
	good, err := os.ReadFile(s.file)
	must(s.t, err)
	s.some(string(good), max(20, *reloads/10), descriptor) // so that all that is made once is there
	filesBefore, kbBefore := s.footprint()
	began := time.Now()
	s.connects.Store(0)
	ok, broken := s.some(string(good), *reloads, descriptor)
	took := time.Since(began)
	filesAfter, kbAfter := s.footprint()
	most := kbBefore + kbBefore/2 + 8<<10
	again := time.NewTicker(50 * time.Millisecond) // what the collector had room for is given back a little after
	defer again.Stop()
	for deadline := time.Now().Add(patience); kbAfter > most && time.Now().Before(deadline); kbAfter = s.b.residentKB(s.t) {
		<-again.C
	}
	s.t.Logf("%d reloads in %v, %d good and %d of broken files; %d connects (%.0f/s), %d failed, the slowest in %v; open files %d → %d, memory %d kB → %d kB",
		*reloads, took.Round(time.Millisecond), ok, broken, s.connects.Load(), float64(s.connects.Load())/took.Seconds(), s.failed.Load(), time.Duration(s.slowest.Load()).Round(time.Millisecond),
		filesBefore, filesAfter, kbBefore, kbAfter)
	if s.failed.Load() > 0 || ok != *reloads-*reloads/2 || broken != *reloads/2 || s.connects.Load() == 0 {
		s.t.Errorf("%d connects failed; %d good reloads, %d broken", s.failed.Load(), ok, broken)
	}
	if filesAfter > filesBefore+3 || kbAfter > most {
		s.t.Errorf("files %d → %d, memory %d kB → %d kB", filesBefore, filesAfter, kbBefore, kbAfter)
	}
	must(s.t, s.b.expectSessions(reloadSessions))
}

// some reloads so many times while clients connect.
func (s *reloadSoak) some(good string, count int, descriptor string) (ok, broken int) {
	stop := make(chan struct{})
	var clients sync.WaitGroup
	clients.Go(func() { s.connect(descriptor, stop) })
	defer clients.Wait()
	defer close(stop)
	pace := time.NewTicker(20 * time.Millisecond) // so that there are connects between any two
	defer pace.Stop()
	for i := range count {
		<-pace.C
		text, wrong := variant(good, i)
		s.replace(text, i)
		err := s.b.Change("POST", "/api/v1/reload", nil, nil)
		switch {
		case err == nil && !wrong:
			ok++
		case err != nil && wrong && strings.Contains(err.Error(), "nothing was changed"):
			broken++
		default:
			s.t.Errorf("reload %d: %v of\n%s", i, err, text)
		}
		if i%10 == 0 {
			s.b.signal(s.t, syscall.SIGHUP) // two at a time
		}
	}
	var ready struct {
		Ready bool `json:"ready"`
	}
	must(s.t, s.b.getJSON("/readyz", &ready))
	must(s.t, os.WriteFile(s.file, []byte(good), 0o600))
	return ok, broken
}

// variant is the i-th configuration: those with odd numbers are broken.
func variant(good string, i int) (text string, wrong bool) {
	with := func(rules, parameters string) string {
		text := strings.Replace(good, "(RULE_LIST=", "(RULE_LIST="+rules, 1)
		return strings.Replace(text, "(PARAMETER_LIST=", "(PARAMETER_LIST="+parameters, 1)
	}
	if i%2 == 1 {
		return []string{
			strings.Replace(good, "ACT=accept", "ACT=deny", 1),
			strings.TrimRight(good, " )\n"),
			"",
			"IFILE=not.there\n" + good,
			with("", "(POLICY=leastconn)"),
		}[i/2%5], true
	}
	return []string{
		with("", "(POLICY=sessions)(IDLE_TIMEOUT=900)"),
		with(strings.Repeat("(RULE=(SRC=192.0.2.1)(DST=localhost)(SRV=hr)(ACT=reject))", 50), ""),
		with("", "(STATIC_SERVICE=(NAME=extra)(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=1)))(SERVICE=(NAME=sales)(HOLD_TIMEOUT=3))"),
		with("(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=log))", "(REGISTRANT=(NAME=prod)(SRC=127.0.0.0/8)(SERVICES=*))(CONFIG_POLL=1)"),
	}[i/2%4], false
}

// replace writes the file in the ways in which files are written.
func (s *reloadSoak) replace(text string, i int) {
	file := s.file
	if i%3 != 0 {
		file = filepath.Join(filepath.Dir(s.file), "new.ora")
	}
	must(s.t, os.WriteFile(file, []byte(text), 0o600))
	if file != s.file {
		must(s.t, os.Rename(file, s.file))
	}
}

// connect opens and closes sessions at a steady rate, whatever becomes of those before.
func (s *reloadSoak) connect(descriptor string, stop <-chan struct{}) {
	ticks := time.NewTicker(time.Second / reloadRate)
	defer ticks.Stop()
	var under sync.WaitGroup
	defer under.Wait()
	places := make(chan struct{}, reloadRate)
	for {
		select {
		case <-ticks.C:
		case <-stop:
			return
		}
		places <- struct{}{}
		under.Go(func() {
			defer func() { <-places }()
			began := time.Now()
			err := knock(s.b.address, descriptor)
			if took := int64(time.Since(began)); took > s.slowest.Load() {
				s.slowest.Store(took)
			}
			if s.connects.Add(1); err != nil && s.failed.Add(1) < 5 {
				s.t.Errorf("a connect: %v", err)
			}
		})
	}
}

// knock connects up to the instance's ACCEPT.
func knock(address, descriptor string) error {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	conn := tns.NewConn(c)
	for {
		if err := conn.Send(tns.NewConnect([]byte(descriptor))); err != nil {
			return err
		}
		switch reply, err := conn.ReadReply(); r := reply.(type) {
		case *tns.Accept:
			return nil
		case *tns.Resend:
		case *tns.Refuse:
			return fmt.Errorf("refused: %v %s", r.Code(), r.Text)
		default:
			return errors.Join(err, fmt.Errorf("answered with %T", reply))
		}
	}
}

// footprint is what the broker occupies once the connects are over.
func (s *reloadSoak) footprint() (files, kb int) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for last := -1; ; {
		must(s.t, s.b.expectSessions(reloadSessions))
		files, err := s.b.process.OpenFiles()
		must(s.t, err)
		if files == last {
			return files, s.b.residentKB(s.t)
		}
		last = files
		must(s.t, ctx.Err())
	}
}

// expectSessions waits until so many sessions are open.
func (b *broker) expectSessions(want int) error {
	var list sessionList
	for deadline := time.Now().Add(patience); ; {
		if err := b.getJSON("/api/v1/sessions", &list); err != nil {
			return err
		}
		if len(list.Sessions) == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d sessions, want %d", len(list.Sessions), want)
		}
	}
}
