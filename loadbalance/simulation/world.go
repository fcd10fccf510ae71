// Package simulation is a deterministic world in which policies are compared: servers that share their processors
// among sessions, brokers that hand out connects, and reports that are late. The policies of package loadbalance run
// in it as they are, with its clock and its chance; others are there to be compared with (references.go).
//
// A server of c cores with n sessions carries each at the rate min(1, c/n). Connects arrive as a Poisson stream, each
// at one of several brokers at random. The measure is slowdown: how long a session took, divided by how long it would
// have taken alone.
package simulation

import (
	"math"
	"math/rand/v2"
)

// session is one that is being served.
type session struct {
	due     float64 // what the server's progress will be when it is done
	work    float64
	started float64
	broker  int32
	ticket  int32 // of the dispatcher
}

// server shares its processors evenly, so that all of its sessions progress alike: one sum tells how far each has
// come, and the next one done is the one that is due first.
type server struct {
	cores    float64
	speed    float64 // part of its cores that work
	progress float64 // of any session that was there all the time
	asOf     float64
	sessions []session // a heap by due
	next     float64   // when a session will be done, if nothing changes before
	away     bool
}

func newServer(cores float64) server { return server{cores: cores, speed: 1, next: math.Inf(1)} }

func (s *server) rate() float64 {
	return min(1, s.cores*s.speed/float64(len(s.sessions)))
}

// advance brings progress up to time now.
func (s *server) advance(now float64) {
	if len(s.sessions) > 0 {
		s.progress += (now - s.asOf) * s.rate()
	}
	s.asOf = now
}

// foresee works out when a session will be done. It must be called after any change.
func (s *server) foresee() {
	s.next = math.Inf(1)
	if len(s.sessions) > 0 {
		s.next = s.asOf + (s.sessions[0].due-s.progress)/s.rate()
	}
}

// turn sets the part of the cores that work.
func (s *server) turn(speed, now float64) {
	s.advance(now)
	s.speed = speed
	s.foresee()
}

// empty removes all sessions and returns them.
func (s *server) empty(now float64) []session {
	s.advance(now)
	all := s.sessions
	s.sessions = nil
	s.foresee()
	return all
}

// begin takes a session in. The server must have been advanced to now.
func (s *server) begin(n session) {
	n.due = s.progress + n.work
	s.sessions = append(s.sessions, n)
	h := s.sessions
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if h[parent].due <= h[i].due {
			break
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
	s.foresee()
}

// end removes the session that is due first. The server must have been advanced to when that is.
func (s *server) end() session {
	h := s.sessions
	done, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	s.sessions = h
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].due < h[least].due {
				least = child
			}
		}
		if least == i {
			s.foresee()
			return done
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// level is the load per core.
func (s *server) level() float64 { return float64(len(s.sessions)) / s.cores }

// dispatcher is a policy at work, for all brokers.
type dispatcher interface {
	// choose returns the server for a connect at a broker, and a ticket that is handed back when the session ends.
	choose(broker int) (server int, ticket int32)
	// ended tells that a session ended. A broker that redirects does not look.
	ended(broker, server int, ticket int32)
	// report tells how many sessions a server has.
	report(server, sessions int)
	// left and came tell that a server is not there any more, and that it is there anew.
	left(server int)
	came(server int)
}

// world is what happens in one run.
type world struct {
	scenario *Scenario
	servers  []server
	brokers  int
	now      float64
	random   *rand.Rand // for the world; dispatchers have their own
	dispatch dispatcher

	nextArrival float64
	nextReport  []float64 // by server
	nextSample  float64
	plan        []change // what else will happen, in order
	cycles      float64  // that were planned
	rate        float64  // of arrivals

	toDrop   int // sessions that end before anything is measured
	measured measurements
}

// run lets connects arrive until as many sessions have ended as asked for.
func (w *world) run(sessions int) {
	w.toDrop = sessions / 5
	w.nextArrival = w.random.ExpFloat64() / w.rate
	w.nextSample = w.scenario.Work / 3
	for w.measured.count() < sessions-w.toDrop {
		w.step()
	}
}

// step lets the next thing happen.
func (w *world) step() {
	if len(w.plan) == 0 && w.scenario.Plan != nil {
		w.plan = w.scenario.Plan(w, w.cycles*w.scenario.Cycle)
		w.cycles++
	}
	at, what, which := w.nextArrival, arrival, 0
	for i := range w.servers {
		if t := w.servers[i].next; t < at {
			at, what, which = t, departure, i
		}
		if t := w.nextReport[i]; t < at {
			at, what, which = t, report, i
		}
	}
	if w.nextSample < at {
		at, what = w.nextSample, sample
	}
	if len(w.plan) > 0 && w.plan[0].at < at {
		at, what = w.plan[0].at, planned
	}
	w.now = at
	switch what {
	case arrival:
		w.nextArrival = at + w.random.ExpFloat64()/w.rate
		w.connect(w.scenario.draw(w.random), at)
	case departure:
		w.depart(which)
	case report:
		w.report(which)
	case sample:
		w.nextSample += w.scenario.Work / 3
		w.measured.sample(w)
	case planned:
		next := w.plan[0]
		w.plan = w.plan[1:]
		next.happen(w)
	}
}

// The kinds of thing that happen.
const (
	arrival = iota
	departure
	report
	sample
	planned
)

// connect lets a client connect that has so much to do, and that began at some time.
func (w *world) connect(work, began float64) {
	broker := 0
	if w.brokers > 1 {
		broker = w.random.IntN(w.brokers)
	}
	i, ticket := w.dispatch.choose(broker)
	s := &w.servers[i]
	s.advance(w.now)
	s.begin(session{work: work, started: began, broker: int32(broker), ticket: ticket})
}

func (w *world) depart(i int) {
	s := &w.servers[i]
	s.advance(w.now)
	done := s.end()
	w.dispatch.ended(int(done.broker), i, done.ticket)
	if w.toDrop > 0 {
		w.toDrop--
		return
	}
	w.measured.session(w.now-done.started, done.work)
}

func (w *world) report(i int) {
	w.nextReport[i] += w.scenario.Interval
	if s := &w.servers[i]; !s.away && !w.scenario.silent(w.now) {
		w.dispatch.report(i, len(s.sessions))
	}
}
