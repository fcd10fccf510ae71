package failover

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"servicebroker/servicetable"
)

// scene tells Moves of a small world's changes and writes down what it reports.
type scene struct {
	moves  Moves
	now    time.Time
	known  map[servicetable.ID]*servicetable.Registration
	report []string
}

func newScene() *scene {
	s := &scene{now: time.Unix(1000, 0), known: map[servicetable.ID]*servicetable.Registration{}}
	s.moves.Now = func() time.Time { return s.now }
	s.moves.Report = func(m Move) {
		text := fmt.Sprintf("%s %s>%s", m.Service, m.From, m.To)
		if m.Overlap {
			text += " overlap"
		}
		s.report = append(s.report, text)
	}
	return s
}

// set makes r the registration of its ID.
func (s *scene) set(r servicetable.Registration) {
	before := s.known[r.ID]
	s.known[r.ID] = &r
	s.moves.Note(before, &r)
}

func (s *scene) drop(id servicetable.ID) {
	if before := s.known[id]; before != nil {
		delete(s.known, id)
		s.moves.Note(before, nil)
	}
}

// offer is a registration of instance name on host h, whose services are ready.
func offer(name string, services ...string) servicetable.Registration {
	r := servicetable.Registration{ID: servicetable.ID("c-" + name), Instance: name, Host: "h"}
	for _, s := range services {
		r.Services = append(r.Services, servicetable.Service{Name: s, Flags: servicetable.FlagUnblocked})
	}
	return r
}

// play runs a script, a word a step: "a+s,t" instance a offers s and t, "a-" is gone, "30" seconds pass; "a!s" offers s but blocks it,
// "a~s" is stale; "a?s" carries a draining mark, "a=s" a hold, "a.s" a draining mark on the service, "a*s" is static, "a&s" registers by
// another connection, "a/" ends that one.
func (s *scene) play(script string) {
	for step := range strings.FieldsSeq(script) {
		if seconds, err := time.ParseDuration(step + "s"); err == nil {
			s.now = s.now.Add(seconds)
			continue
		}
		at := strings.IndexAny(step, "+-!~?=.*&/")
		name := step[:at]
		r := offer(name, strings.FieldsFunc(step[at+1:], func(c rune) bool { return c == ',' })...)
		switch step[at] {
		case '-':
			s.drop(r.ID)
			continue
		case '/':
			s.drop(r.ID + "2")
			continue
		case '!':
			r.Services[0].Flags = 0
		case '~':
			r.Stale = true
		case '?':
			r.Marks = []servicetable.Mark{{Kind: servicetable.Draining}}
		case '=':
			r.Marks = []servicetable.Mark{{Kind: servicetable.Holding}, {Kind: servicetable.Ejected}}
		case '.':
			r.Services[0].Marks = []servicetable.Mark{{Kind: servicetable.Draining}}
		case '*':
			r.Static = true
		case '&':
			r.ID += "2"
		}
		s.set(r)
	}
}

func TestMoves(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"with a gap", "a+s 100 a- 20 b+s", "s a@h>b@h"},
		{"without a gap", "a+s 100 a- b+s", "s a@h>b@h"},
		{"the new one first", "a+s 100 b+s 20 a!s", "s a@h>b@h overlap"},
		{"the new one first, and the service is dropped", "a+s,t 100 b+s 20 a+t", "s a@h>b@h overlap"},
		{"one of two dies soon after the start", "a+s b+s 20 a-", ""},
		{"one of two loses its link soon after the start", "a+s b+s 20 a~s 5 a-", ""},
		{"at the end of the window", "a+s 100 a- 60 b+s", "s a@h>b@h"},
		{"after the window", "a+s 100 a- 61 b+s", ""},
		{"the new one first, and too early", "a+s 100 b+s 61 a!s", ""},
		{"one of two services", "a+s,t 100 a+t 20 b+S", "S a@h>b@h"},
		{"all services", "a+t,s 100 a- 20 b+s,t", "s a@h>b@h; t a@h>b@h"},
		{"by blocking", "a+s 100 a!s 20 b+s 10 a-", "s a@h>b@h"},
		{"opened where it was blocked", "a+s b!s 100 a!s 20 b+s", "s a@h>b@h"},
		{"by a drain", "a+s 100 a?s 5 b+s", "s a@h>b@h"},
		{"by a drain of the service", "a+s 100 a.s 5 b+s", "s a@h>b@h"},
		{"released from maintenance", "a+s b?s 100 a- 5 b+s", "s a@h>b@h"},
		{"during a hold", "a+s 100 a=s 80 a- 20 b=s 5 b+s", "s a@h>b@h"},
		{"link lost", "a+s 100 a~s 20 b+s 10 a-", "s a@h>b@h"},
		{"an addition", "a+s 100 b+s 100 c+s", ""},
		{"a restart", "a+s 100 a- 20 a+s", ""},
		{"a restart by another connection", "a+s 100 a- 20 a&s", ""},
		{"registered again before the old connection ended", "a+s 100 a&s 5 a- 5 b+s", ""},
		{"and then moved", "a+s 100 a&s 5 a- 5 a/ 5 b+s", "s a@h>b@h"},
		{"there and back", "a+s 100 a- 20 b+s 100 b- 20 a+s", "s a@h>b@h; s b@h>a@h"},
		{"there and soon back", "a+s 100 a- 10 b+s 10 a+s 10 b!s", "s a@h>b@h; s b@h>a@h overlap"},
		{"on and on", "a+s 100 a- 10 b+s 10 b- 10 c+s", "s a@h>b@h; s b@h>c@h"},
		{"one leaves, two come", "a+s 100 a- 10 b+s 10 c+s", "s a@h>b@h"},
		{"two leave, one comes", "a+s b+s 100 a- b- 10 c+s 10 d- ", "s a@h>c@h"},
		{"two leave, two come", "a+s b+s 100 a- b- 10 c+s d+s", "s a@h>c@h; s b@h>d@h"},
		{"two come, two leave", "a+s b+s 100 c+s d+s 10 a!s b?s", "s a@h>c@h overlap; s b@h>d@h overlap"},
		{"a new member for an old one", "a+s c+s 100 a- 10 b+s", "s a@h>b@h"},
		{"a member that was away comes back", "a+s b+s c+s 100 b- 200 a- 10 b+s", ""},
		{"it was away, and nobody is left", "a+s b+s 100 b- 200 a- 10 b+s", "s a@h>b@h"},
		{"both restart", "a+s b+s 100 a- b- 10 b+s 10 a+s", ""},
		{"rolling restart", "a+s b+s 100 a- 10 a+s 10 b- 10 b+s", ""},
		{"who came later leaves at once", "b+s a+s 10 a-", ""},
		{"who came later leaves, then another comes", "b+s 100 a+s 10 a- 10 c+s", "s a@h>c@h"},
		{"static", "a*s 100 a- 10 b+s", ""},
		{"another service", "a+s 100 a- 10 b+t", ""},
		{"vacated twice", "a+s 100 a- 30 a+s 25 a- 10 x+t 5 b+s", "s a@h>b@h"},
	} {
		s := newScene()
		s.play(c.script)
		if got := strings.Join(s.report, "; "); got != c.want {
			t.Errorf("%s: %s\n got %q\nwant %q", c.name, c.script, got, c.want)
		}
	}
}

func TestMoveSaysWhatAndWhen(t *testing.T) {
	s := newScene()
	var got []Move
	s.moves.Report = func(m Move) { got = append(got, m) }
	s.moves.Window = 5 * time.Second
	r := offer("a", "Sales")
	r.Database = "prod"
	s.set(r)
	s.now = s.now.Add(time.Minute)
	left := s.now
	s.drop(r.ID)
	s.now = s.now.Add(5 * time.Second)
	s.set(offer("b", "SALES"))
	want := Move{Service: "SALES", From: "a@h", To: "b@h", Database: "prod", LeftAt: left, CameAt: s.now}
	if diff := cmp.Diff([]Move{want}, got); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
	s.now = s.now.Add(time.Minute)
	s.drop("c-b")
	s.now = s.now.Add(6 * time.Second)
	s.set(offer("c", "sales"))
	if len(got) != 1 {
		t.Errorf("after the window: %+v", got)
	}
}

func TestMovesWithoutAClockOrListener(t *testing.T) {
	var m Moves
	a, b := offer("a", "s"), offer("b", "s")
	m.Note(nil, &a)
	m.Note(&a, nil)
	m.Note(nil, &b) // a move that nobody is told
	var told []Move
	m.Report = func(move Move) { told = append(told, move) }
	m.Note(&b, nil)
	m.Note(nil, &a)
	if len(told) != 1 || told[0].From != "b@h" || told[0].CameAt.Before(told[0].LeftAt) {
		t.Errorf("%+v", told)
	}
}

// An instance that changes its name under one connection leaves as what it was and comes as what it is; a service of which a
// registration has two entries counts as the first says.
func TestOddRegistrations(t *testing.T) {
	s := newScene()
	s.play("a+s 100")
	r := offer("b", "s")
	r.ID = "c-a"
	s.set(r)
	if diff := cmp.Diff([]string{"s a@h>b@h overlap"}, s.report); diff != "" {
		t.Errorf("renamed (-want +got):\n%s", diff)
	}
	s = newScene()
	s.play("a!s,S 100 a- 10 b+s")
	if len(s.report) != 0 {
		t.Errorf("moved from where the first entry was blocked: %q", s.report)
	}
	s.moves.Note(&r, nil) // never told of
	if len(s.report) != 0 {
		t.Errorf("%q", s.report)
	}
}

// However long it runs, no more is remembered than the bounds say.
func TestMovesRememberLittle(t *testing.T) {
	s := newScene()
	for i := range 3 * maxVacant {
		s.play(fmt.Sprintf("a%d+s%d a%d-", i, i, i))
	}
	if n := len(s.moves.services); n > maxVacant+1 || len(s.moves.vacant) > maxVacant+1 {
		t.Errorf("%d services, %d of them vacant", n, len(s.moves.vacant))
	}
	for i := range 1000 {
		s.play(fmt.Sprintf("x%d+one", i))
	}
	for i := range 1000 {
		s.play(fmt.Sprintf("x%d-", i))
	}
	one := s.moves.services["one"]
	if len(one.came) > maxPending || len(one.left) > maxPending || len(one.seen) > maxMembers || len(one.members) != 0 {
		t.Errorf("%d came, %d left, %d seen, %d there", len(one.came), len(one.left), len(one.seen), len(one.members))
	}
	for range 2 * maxVacant {
		s.play("z+flapping z-")
	}
	if n := len(s.moves.services); n < maxVacant/2 {
		t.Errorf("one service that came and went made %d others forgotten", maxVacant-n)
	}
	s.play("y+new w+flapping y-")
	if s.moves.services["new"] == nil || s.moves.services["flapping"] == nil {
		t.Error("the latest are forgotten")
	}
}

// stay is one stretch of time in which an instance took connects for the service.
type stay struct {
	instance  string
	from, to  int // step; to is 0 while it lasts
	cameAt    time.Time
	leftAt    time.Time
	cameMoved bool // its beginning is part of a move, or of a restart
	leftMoved bool // likewise its end
}

// history is Moves for one service by the plainest means: everything that ever was, searched from end to end.
type history struct {
	window time.Duration
	stays  []*stay
	step   int
	report []string
}

func (h *history) serving(instance string) *stay {
	i := slices.IndexFunc(h.stays, func(s *stay) bool { return s.instance == instance && s.to == 0 })
	if i < 0 {
		return nil
	}
	return h.stays[i]
}

// isMove is the rule about clusters: nobody else stayed from before the first of the two events until now, or b is new.
func (h *history) isMove(b *stay, first int) bool {
	never := func(s *stay) bool { return s.instance == b.instance && s != b }
	stayed := func(s *stay) bool { return s.instance != b.instance && s.to == 0 && s.from < first }
	return !slices.ContainsFunc(h.stays, never) || !slices.ContainsFunc(h.stays, stayed)
}

func (h *history) come(instance string, now time.Time) {
	h.step++
	b := &stay{instance: instance, from: h.step, cameAt: now}
	ended := func(s *stay) bool { return s.to > 0 && !s.leftMoved && now.Sub(s.leftAt) <= h.window }
	var left []*stay
	for _, s := range h.stays {
		if ended(s) {
			left = append(left, s)
		}
	}
	h.stays = append(h.stays, b)
	slices.SortFunc(left, func(x, y *stay) int { return x.to - y.to })
	for _, s := range left {
		if s.instance == instance {
			s.leftMoved, b.cameMoved = true, true
			return
		}
	}
	for _, s := range left {
		if h.isMove(b, s.to) {
			s.leftMoved, b.cameMoved = true, true
			h.report = append(h.report, fmt.Sprintf("s %s@h>%s@h", s.instance, instance))
			return
		}
	}
}

func (h *history) leave(instance string, now time.Time, stays bool) {
	h.step++
	a := h.serving(instance)
	a.to, a.leftAt = h.step, now
	for _, b := range h.stays { // in order of coming
		if stays && b.to == 0 && !b.cameMoved && now.Sub(b.cameAt) <= h.window && a.from < b.from && h.isMove(b, b.from) {
			a.leftMoved, b.cameMoved = true, true
			h.report = append(h.report, fmt.Sprintf("s %s@h>%s@h overlap", instance, b.instance))
			return
		}
	}
}

// Whatever comes and goes, Moves reports what the whole history says.
func TestMovesAgreeWithHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScene()
		h := history{window: defaultMoveWindow}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			s.now = s.now.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 10, 29, 30, 31, 59, 60, 61, 200}).Draw(t, "seconds")) * time.Second)
			name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "instance")
			how := rapid.SampledFrom([]string{"+s", "+s", "+s,t", "-", "-", "+t", "!s", "?s", "=s", "~s", "+S"}).Draw(t, "how")
			takes := strings.ContainsAny(how, "+=") && strings.ContainsAny(how, "sS")
			switch was := h.serving(name) != nil; {
			case takes && !was:
				h.come(name, s.now)
			case !takes && was:
				h.leave(name, s.now, how != "-" && how != "~s")
			}
			s.play(name + how)
			got := slices.DeleteFunc(slices.Clone(s.report), func(line string) bool { return strings.HasPrefix(line, "t ") })
			for i := range got {
				got[i] = "s" + got[i][1:]
			}
			if !slices.Equal(got, h.report) {
				t.Fatalf("after %s%s:\n got %q\nwant %q", name, how, got, h.report)
			}
		}
	})
}
