package limits

import (
	"fmt"
	"sort"
	"sync"
	"time"
)

// Kind is what a Share is of.
type Kind string

// The kinds, from the narrowest to the widest.
const (
	OfRule    Kind = "rule"
	OfService Kind = "service"
	OfTenant  Kind = "tenant"
	OfAll     Kind = "all"
)

// Limit is how much a Share is at most. Zero is no limit.
type Limit struct {
	Rate      float64       // connects a second
	Wait      time.Duration // for a turn under Rate
	Sessions  int           // at a time
	Bandwidth int64         // bytes a second, each way
	By        Names         // of the parameters that say so
}

// Names are the parameters behind a Limit, for people.
type Names struct{ Rate, Sessions, Bandwidth string }

// Share is what a rule, a service, a tenant or all take of the broker.
type Share struct {
	Kind     Kind
	Name     string
	Rate     Rate
	Sessions Count
	ToServer Bandwidth
	ToClient Bandwidth

	mu    sync.Mutex
	limit Limit
}

func (s *Share) configure(l Limit) {
	s.mu.Lock()
	same := s.limit == l
	s.limit = l
	s.mu.Unlock()
	if same {
		return
	}
	s.Rate.Configure(l.Rate, l.Wait)
	s.Sessions.Configure(l.Sessions)
	s.ToServer.Configure(l.Bandwidth)
	s.ToClient.Configure(l.Bandwidth)
}

// Limit returns the limit in force.
func (s *Share) Limit() Limit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit
}

// String names it for people.
func (s *Share) String() string {
	if s.Kind == OfAll {
		return "all services"
	}
	return string(s.Kind) + " " + s.Name
}

// Enter lets a connect through as Rate.Enter does; the error is an *ExceededError.
func (s *Share) Enter(flow string, wake func()) (*Turn, error) {
	turn, err := s.Rate.Enter(flow, wake)
	if err != nil {
		return nil, s.OverRate()
	}
	return turn, nil
}

// Refuse counts a connect that is refused since Rate.Full says so, and returns the reason.
func (s *Share) Refuse() error {
	s.Rate.refuse()
	return s.OverRate()
}

// OverRate is the reason of one whose turn does not come in time.
func (s *Share) OverRate() error {
	l := s.Limit()
	return &ExceededError{
		Limit: s.String(), Err: ErrRate,
		Why: fmt.Sprintf("%s is %s, and its turn does not come within ACCEPT_QUEUE_WAIT, %v: connect less often, or raise one of them", l.By.Rate, figure(l.Rate), l.Wait),
	}
}

// TooMany is the reason of one for whose session there is no room.
func (s *Share) TooMany() error {
	l := s.Limit()
	return &ExceededError{
		Limit: s.String(), Err: ErrSessions,
		Why: fmt.Sprintf("%s is %d, and so many are open: end some (broker sessions, broker close), or raise it", l.By.Sessions, l.Sessions),
	}
}

// maxShares bounds how many are known; beyond it those are forgotten that nobody uses.
const maxShares = 20_000

// Shares are all Shares of one broker, made when they are first needed. A Share keeps what
// it has counted through changes of its limits.
type Shares struct {
	// LimitOf returns what limits a Share; may be nil. It must not call Shares.
	LimitOf func(Kind, string) Limit
	Room    *Count // as in Rate

	mu    sync.Mutex
	known map[shareKey]*Share
}

type shareKey struct {
	kind Kind
	name string
}

// Of returns the Share of that name.
func (s *Shares) Of(kind Kind, name string) *Share {
	key := shareKey{kind, name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.known[key]; one != nil {
		return one
	}
	if s.known == nil {
		s.known = map[shareKey]*Share{}
	}
	if len(s.known) >= maxShares {
		s.forget()
	}
	one := &Share{Kind: kind, Name: name}
	one.Rate.Room = s.Room
	if s.LimitOf != nil {
		one.configure(s.LimitOf(kind, name))
	}
	s.known[key] = one
	return one
}

// forget drops Shares without sessions of which nobody can tell that they were there; where
// that makes no room, those too that would be let through again before their rate allows it.
func (s *Shares) forget() {
	for _, drop := range []func(*Rate) bool{(*Rate).idle, func(r *Rate) bool { return r.Counts().Waiting == 0 }} {
		for key, one := range s.known {
			if one.Sessions.Counts().Now == 0 && drop(&one.Rate) {
				delete(s.known, key)
			}
		}
		if len(s.known) < maxShares {
			return
		}
	}
}

// Reconfigure asks anew what limits each Share.
func (s *Shares) Reconfigure() {
	for _, one := range s.All() {
		one.configure(s.LimitOf(one.Kind, one.Name))
	}
}

var kindOrder = map[Kind]int{OfAll: 0, OfTenant: 1, OfService: 2, OfRule: 3}

// All returns them, the widest first, then by name.
func (s *Shares) All() []*Share {
	s.mu.Lock()
	all := make([]*Share, 0, len(s.known))
	for _, one := range s.known {
		all = append(all, one)
	}
	s.mu.Unlock()
	sort.Slice(all, func(i, j int) bool {
		if all[i].Kind != all[j].Kind {
			return kindOrder[all[i].Kind] < kindOrder[all[j].Kind]
		}
		return all[i].Name < all[j].Name
	})
	return all
}
