package broker

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/console"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// keptIn has a broker keep its state in a folder, and hold nobody.
func keptIn(dir string) func(*Config) {
	return func(c *Config) { c.StateDirectory, c.HoldTimeout = dir, 0 }
}

// onDisk waits until the table on disk is the one of the broker.
func (r *running) onDisk() {
	r.t.Helper()
	until(r.t, "the table is on disk", func() bool { s := r.warm.status(); return s.Lag == 0 && s.Error == "" })
}

// killed returns a folder as it would be found if the broker had been killed now.
func (r *running) killed() (dir string) {
	r.t.Helper()
	r.onDisk()
	dir = filepath.Join(r.t.TempDir(), "state")
	must(r.t, os.MkdirAll(dir, 0o700))
	r.warm.file.mu.Lock() // a process that is killed does not write while it is copied
	defer r.warm.file.mu.Unlock()
	content, err := os.ReadFile(r.warm.file.path)
	must(r.t, err)
	must(r.t, os.WriteFile(filepath.Join(dir, warmName), content, 0o600))
	return dir
}

// howAre names a service's instances with their statuses.
func howAre(s *servicetable.Snapshot, service string) string {
	entry, err := s.Service(service)
	if err != nil {
		return ""
	}
	var all []string
	for _, in := range entry.Instances {
		all = append(all, in.Registration.Instance+" "+in.Status.String())
	}
	return strings.Join(all, ", ")
}

// saysOf waits for an event of that kind and looks at its cause.
func (r *running) saysOf(kind journal.Kind, cause string) {
	r.t.Helper()
	if e := r.event(kind); !strings.HasPrefix(e.Cause, cause) {
		r.t.Errorf("%s says %q", kind, e.Cause)
	}
}

func TestAKilledBrokersTableIsUsed(t *testing.T) {
	for _, mode := range []relay.Mode{relay.ModeRelay, relay.ModeRedirect} {
		t.Run(mode.String(), func(t *testing.T) {
			first := start(t, keptIn(filepath.Join(t.TempDir(), "state")))
			first.join("a", "sales")
			dir := first.killed()

			second := start(t, func(c *Config) { keptIn(dir)(c); c.Mode = mode })
			if got := howAre(second.Snapshot(), "sales"); got != "a STALE" {
				t.Fatalf("it starts with %q", got)
			}
			_, reply := second.ask(sales)
			if _, redirected := reply.(*tns.Redirect); !isAccept(reply) && !redirected {
				t.Fatalf("answer %T", reply)
			}
			for path, want := range map[string]string{
				"/readyz":          `"notes":["1 of 1 instances are known from the table on disk alone`,
				"/api/v1/status":   `"notes":["1 of 1 instances are known from the table on disk alone`,
				"/api/v1/services": `"stored_at":"`, "/api/v1/mirrors": `"name":"disk"`,
			} {
				if text := second.get(path); !strings.Contains(text, want) {
					t.Errorf("%s does not have %s: %s", path, want, text)
				}
			}
			second.saysOf(journal.Stale, "known from before the start, by the table on disk; heard of last ")
			second.join("a", "sales")
			second.await(func(s *servicetable.Snapshot) bool { return howAre(s, "sales") == "a READY" })
			if text := second.get("/readyz"); strings.Contains(text, "notes") {
				t.Errorf("all are back, and it says %s", text)
			}
		})
	}
}

// A broker that was killed and started is not said to have lost what it has from disk, here or by its peers.
func TestPeersTellARestartFromALoss(t *testing.T) {
	live := beside(t, "b2", func(c *Config) { c.StateDirectory = filepath.Join(t.TempDir(), "state") })
	live.join("a", "sales")
	dir := live.killed()
	restarted := beside(t, "b1", func(c *Config) {
		c.StateDirectory, c.StaleTimeout, c.ProbeInterval = dir, time.Minute, time.Minute
	}, live.api())
	asks := beside(t, "b3", nil, restarted.api())
	asks.join("a", "sales")
	for r, want := range map[*running]string{restarted: "known from disk here since the start, not registered again yet", asks: "known from disk there since"} {
		r.awaitPeers(func(l console.PeerList) bool {
			p := l.Peers[0]
			return len(p.Differences) == 1 && strings.HasPrefix(p.Differences[0].Cause, want)
		})
	}
	restarted.saysOf(journal.Stale, "known from before the start")
}

// What is from disk comes after all that lives, and is gone when it does not answer.
func TestStoredInstancesAreBelowLiveOnes(t *testing.T) {
	first := start(t, keptIn(filepath.Join(t.TempDir(), "state")))
	first.join("a", "sales")
	at := netip.MustParseAddrPort(unusedAddress(t))
	first.registered(servicetable.Registration{
		ID: "1", Instance: "b", Host: "b-host", Peer: netip.MustParseAddr("127.0.0.1"), Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked}},
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: "127.0.0.1", Port: int(at.Port()), Services: []int{0}}},
	})
	second := start(t, keptIn(first.killed()))
	second.await(func(s *servicetable.Snapshot) bool { return howAre(s, "sales") == "a STALE" })
	second.join("c", "sales")
	for range 4 {
		if _, at := second.session("sales"); at != "c" {
			t.Errorf("a client got %s while c lives", at)
		}
	}
}

func TestStoredInstancesEndAfterStaleTimeout(t *testing.T) {
	first := start(t, keptIn(filepath.Join(t.TempDir(), "state")))
	first.join("a", "sales")
	second := start(t, func(c *Config) {
		keptIn(first.killed())(c)
		c.StaleTimeout, c.ProbeInterval = 300*time.Millisecond, 50*time.Millisecond
	})
	second.await(func(s *servicetable.Snapshot) bool { return howAre(s, "sales") == "" })
	second.saysOf(journal.Died, "it has not registered again within 300ms")
	if up := time.Since(second.started); up < 300*time.Millisecond {
		t.Errorf("it was gone after %v", up)
	}
}

// An orderly end keeps the table as it was before registrations were ended by it.
func TestAnEndedBrokersTableIsUsed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	func() {
		r := start(t, keptIn(dir))
		r.join("a", "sales", "hr") // and not waited for until it is on disk
		r.stop()
		r.ended <- <-r.ended
	}()
	r := start(t, keptIn(dir))
	if got := howAre(r.Snapshot(), "sales") + "; " + howAre(r.Snapshot(), "hr"); got != "a STALE; a STALE" {
		t.Errorf("it starts with %q", got)
	}
}

// The rules of today count for what was registered yesterday.
func TestRulesApplyToStoredInstances(t *testing.T) {
	first := start(t, keptIn(filepath.Join(t.TempDir(), "state")))
	first.join("a", "sales")
	dir := first.killed()
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"claimed by others": {func(c *Config) {
			c.Registrants = []registration.RegistrantRule{{Name: "prod", Sources: []string{"10.9.9.9"}, Services: []string{"sales"}}}
		}, "quarantined"},
		"not invited any more": {func(c *Config) { c.Admission.Excluded = []string{"127.0.0.0/8"} }, "none"},
		"too old":              {func(c *Config) { c.TableMemory = time.Nanosecond }, "none"},
		"not kept":             {func(c *Config) { c.TableMemory = 0 }, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "state")
			must(t, os.CopyFS(copied, os.DirFS(dir)))
			b, err := New(testConfig(t, func(config *Config) { keptIn(copied)(config); c.change(config) }), slog.New(slog.NewTextHandler(t.Output(), nil)))
			must(t, err)
			r := run(t, b)
			got := "none"
			if entry, err := b.Snapshot().Service("sales"); err == nil {
				got = entry.Instances[0].Status.String()
				for _, m := range entry.Instances[0].Marks {
					got = m.Kind.String()
				}
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			_ = r
		})
	}
}

// A service that had left before the broker was killed is waited for after it, as it would have been before.
func TestDepartedServicesAreHeldAfterARestart(t *testing.T) {
	first := start(t, func(c *Config) { keptIn(filepath.Join(t.TempDir(), "state"))(c); c.ProbeInterval = 0 })
	first.join("a", "sales").cut(true)
	first.await(func(s *servicetable.Snapshot) bool { return howAre(s, "sales") == "" })
	dir, copied := first.killed(), filepath.Join(t.TempDir(), "state")
	must(t, os.CopyFS(copied, os.DirFS(dir)))
	second := start(t, func(c *Config) { c.StateDirectory, c.HoldTimeout = dir, 20*time.Second })
	answer := make(chan tns.Message)
	go func() { _, reply := second.ask(sales); answer <- reply }()
	until(t, "the client waits", func() bool { return len(second.Held()) == 1 })
	second.join("a", "sales")
	if reply := <-answer; !isAccept(reply) {
		t.Errorf("answer %T", reply)
	}
	third := start(t, func(c *Config) {
		c.StateDirectory, c.HoldTimeout, c.HoldMemory = copied, 20*time.Second, time.Nanosecond
	})
	third.wantCode(sales, tns.CodeUnknownService)
}

// What operators want outlives the broker with the table, and the zone has what the table has from its first answer on.
func TestStoredInstancesAreDrainedAndInTheZone(t *testing.T) {
	home := filepath.Join(t.TempDir(), "state")
	first := start(t, keptIn(home))
	first.join("a", "sales")
	first.join("b", "sales")
	first.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Instance: "b"}, Reason: "patching"})
	dir := first.killed()
	text, err := os.ReadFile(filepath.Join(home, "intents.json"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "intents.json"), text, 0o600))
	second := zoned(t, keptIn(dir))
	for range 4 {
		if _, at := second.session("sales"); at != "a" {
			t.Errorf("a client got %s, which is drained", at)
		}
	}
	got, err := lookup(t.Context(), "udp", "127.0.0.1", second.atZone(), "sales.db.example", wire.TypeA)
	if err != nil || len(got.Answer) == 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// The file may be locked by whoever copies it: it is read all the same, and it is said why it is not written.
func TestATableThatIsLocked(t *testing.T) {
	first := start(t, keptIn(filepath.Join(t.TempDir(), "state")))
	first.join("a", "sales")
	dir := first.killed()
	copier, err := os.Open(filepath.Join(dir, warmName))
	must(t, err)
	defer copier.Close()
	must(t, syscall.Flock(int(copier.Fd()), syscall.LOCK_EX))
	second := start(t, keptIn(dir))
	second.session("sales")
	until(t, "it says so", func() bool {
		return strings.Contains(second.get("/readyz"), "the table is not kept on disk: another process has locked "+copier.Name())
	})
	must(t, copier.Close())
	second.join("b", "sales")
	second.onDisk()
}

// A folder that takes nothing is told of, and keeps nobody from anything.
func TestATableThatCannotBeKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	must(t, os.MkdirAll(filepath.Join(dir, warmName+".new", "full"), 0o700)) // where the file is made first
	r := start(t, keptIn(dir))
	r.join("a", "sales")
	r.session("sales")
	until(t, "it says so", func() bool {
		return strings.Contains(r.get("/readyz"), `"ready":true,"reasons":[],"notes":["the table is not kept on disk: `)
	})
	must(t, os.RemoveAll(filepath.Join(dir, warmName+".new")))
	r.join("b", "sales")
	r.onDisk()
}

// Whatever is found on disk, the broker starts, and keeps what it cannot read for people to look at.
func TestFilesThatAreNoTable(t *testing.T) {
	first := start(t, keptIn(filepath.Join(t.TempDir(), "state")))
	first.join("a", "sales")
	good, err := os.ReadFile(filepath.Join(first.killed(), warmName))
	must(t, err)
	for name, content := range map[string][]byte{
		"empty": {}, "text": []byte("no table"), "zeroes": make([]byte, len(good)), "the first half": good[:len(good)/2], "its first byte": good[:1],
		"noughts in the middle": append(append(good[:len(good)/3:len(good)/3], make([]byte, len(good)/3)...), good[2*len(good)/3:]...),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			must(t, os.MkdirAll(dir, 0o700))
			must(t, os.WriteFile(filepath.Join(dir, warmName), content, 0o600))
			r := start(t, keptIn(dir))
			if text := r.get("/readyz"); !strings.Contains(text, `"notes":["the table on disk could not be read at the start, or not all of it: the file is damaged: `) {
				t.Errorf("it says %s", text)
			}
			r.join("b", "sales")
			r.onDisk()
			aside, err := os.ReadFile(filepath.Join(dir, warmName+".damaged"))
			if err != nil || string(aside) != string(content) {
				t.Errorf("it was not set aside as it was: %v, %d of %d bytes", err, len(aside), len(content))
			}
		})
	}
}
