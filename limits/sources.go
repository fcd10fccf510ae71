package limits

import (
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// MaxSources is how many client addresses are remembered at a time; of those that have not
// come for the longest, one that is not refused is forgotten first.
const MaxSources = 1 << 16

// SourceSettings limit what one client address may do. Zero is no limit.
type SourceSettings struct {
	Rate     float64       // connects a second
	Wait     time.Duration // for a turn under Rate
	Count    int           // connects within Interval …
	Interval time.Duration
	Block    time.Duration // … before it is refused for so long; 0: until Interval is over
}

// Sources limits each client address by itself. IPv6 addresses of one /64 are one. The
// zero value limits nobody.
type Sources struct {
	// Blocked is told of an address that begins to be refused, and until when; may be nil. It must not wait.
	Blocked func(source netip.Prefix, until time.Time)
	Room    *Count // as in Rate

	mu       sync.Mutex
	settings SourceSettings
	known    map[netip.Prefix]*source
	order    list[*source] // the one that came last is last
	refused  uint64        // connects of addresses that were refused for a while
	blocked  uint64        // times that an address began to be
	rates    RateCounts    // of sources that were forgotten
}

type source struct {
	key   netip.Prefix
	place link[*source]
	rate  *Rate // nil: it was under the limit ever since it is known

	window  time.Time // when count began
	count   int
	blocked time.Time // until then
}

// SourceOf is what counts as one client address: an IPv4 address, or a /64 of IPv6.
func SourceOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// nameOf is a source as people write it.
func nameOf(p netip.Prefix) string {
	if p.Addr().Is4() {
		return p.Addr().String()
	}
	return p.String()
}

// Configure replaces the settings. Who waits for a turn goes by the new ones.
func (s *Sources) Configure(settings SourceSettings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settings == settings {
		return
	}
	s.settings = settings
	for _, one := range s.known {
		if one.rate != nil {
			one.rate.Configure(settings.Rate, settings.Wait)
		}
		if settings.Count == 0 {
			one.blocked = time.Time{}
		}
	}
}

// Arrive counts a connect of an address and lets it through, which no Turn and no error
// says, or gives it a Turn to wait for. The error is an *ExceededError.
func (s *Sources) Arrive(a netip.Addr) (Wait, error) {
	key := SourceOf(a)
	now := time.Now()
	s.mu.Lock()
	if s.settings.Count == 0 && s.settings.Rate == 0 || !key.IsValid() {
		s.mu.Unlock()
		return Wait{}, nil
	}
	one := s.find(key)
	began, err := s.within(one, now)
	until := one.blocked
	rate := s.rateOf(one)
	settings := s.settings
	s.mu.Unlock()
	if began && s.Blocked != nil {
		s.Blocked(key, until)
	}
	if err != nil || rate == nil {
		return Wait{}, err
	}
	turn, err := rate.Enter("", nil)
	switch {
	case err != nil:
		return Wait{}, settings.exceeded(key)
	case turn == nil:
		return Wait{}, nil
	}
	return Wait{turn, settings.exceeded(key)}, nil
}

// Foresee tells why a connect of an address would be refused now, nil if it would not.
func (s *Sources) Foresee(a netip.Addr) error {
	key := SourceOf(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.known[key]
	switch {
	case one == nil:
		return nil
	case one.blocked.After(time.Now()):
		return one.refusal(s.settings)
	case one.rate != nil && one.rate.Full(""):
		return s.settings.exceeded(key)
	}
	return nil
}

func (s SourceSettings) exceeded(key netip.Prefix) error {
	return &ExceededError{
		Limit: "client " + nameOf(key), Err: ErrRate,
		Why: fmt.Sprintf("CLIENT_RATE is %s, and its turn would not come within ACCEPT_QUEUE_WAIT, %v: connect less often, or raise it", figure(s.Rate), s.Wait),
	}
}

// figure writes a rate, as those do who set it.
func figure(perSecond float64) string {
	number, per := perSecond, "second"
	switch {
	case perSecond*60 < 1:
		number, per = perSecond*3600, "hour"
	case perSecond < 1:
		number, per = perSecond*60, "minute"
	}
	return strconv.FormatFloat(number, 'g', 4, 64) + " connects a " + per
}

// within counts a connect against Count; began says that the address is refused from now on.
func (s *Sources) within(one *source, now time.Time) (began bool, err error) {
	if s.settings.Count == 0 {
		return false, nil
	}
	if one.blocked.After(now) {
		s.refused++
		return false, one.refusal(s.settings)
	}
	if now.Sub(one.window) >= s.settings.Interval {
		one.window, one.count = now, 0
	}
	if one.count++; one.count <= s.settings.Count {
		return false, nil
	}
	one.blocked = now.Add(s.settings.Block)
	if s.settings.Block == 0 {
		one.blocked = one.window.Add(s.settings.Interval)
	}
	s.refused++
	s.blocked++
	return true, one.refusal(s.settings)
}

func (one *source) refusal(settings SourceSettings) error {
	return &ExceededError{
		Limit: "client " + nameOf(one.key), Err: ErrBlocked,
		Why: fmt.Sprintf("more than IP_RATE_COUNT=%d connects within IP_RATE_INTERVAL, %v; it is refused until %s: connect less often, or raise these",
			settings.Count, settings.Interval, one.blocked.UTC().Format("15:04:05Z")),
	}
}

// rateOf returns the source's Rate, nil if there is no such limit.
func (s *Sources) rateOf(one *source) *Rate {
	if s.settings.Rate == 0 {
		return nil
	}
	if one.rate == nil {
		one.rate = &Rate{Room: s.Room}
		one.rate.Configure(s.settings.Rate, s.settings.Wait)
	}
	return one.rate
}

// find returns what is known of a source, which is now the one that came last.
func (s *Sources) find(key netip.Prefix) *source {
	if one := s.known[key]; one != nil {
		s.order.renew(&one.place)
		return one
	}
	if s.known == nil {
		s.known = map[netip.Prefix]*source{}
	}
	if len(s.known) >= MaxSources {
		s.forget()
	}
	one := &source{key: key}
	one.place.of = one
	s.known[key] = one
	s.order.push(&one.place)
	return one
}

// mostLooked is among how many of the oldest one is looked for that can be forgotten
// without loss.
const mostLooked = 16

func (s *Sources) forget() {
	now := time.Now()
	victim := s.order.first.of
	for e, n := s.order.first, 0; e != nil && n < mostLooked; e, n = e.next, n+1 {
		if one := e.of; !one.blocked.After(now) && (one.rate == nil || one.rate.Counts().Waiting == 0) {
			victim = one
			break
		}
	}
	s.order.remove(&victim.place)
	delete(s.known, victim.key)
	if victim.rate != nil {
		s.rates.add(victim.rate.Counts())
	}
}

func (c *RateCounts) add(other RateCounts) {
	c.Passed += other.Passed
	c.Waited += other.Waited
	c.Refused += other.Refused
	c.Left += other.Left
	c.Waiting += other.Waiting
}

// SourceCounts is what Sources know.
type SourceCounts struct {
	Known      int        // addresses remembered
	BlockedNow int        // of these refused for a while
	Blocks     uint64     // times that an address began to be refused
	Refused    uint64     // connects of such
	Rates      RateCounts // of all together
}

// Counts tells what the limits did. It takes a moment where many are known.
func (s *Sources) Counts() SourceCounts {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := SourceCounts{Known: len(s.known), Blocks: s.blocked, Refused: s.refused, Rates: s.rates}
	for _, one := range s.known {
		if one.blocked.After(now) {
			c.BlockedNow++
		}
		if one.rate != nil {
			c.Rates.add(one.rate.Counts())
		}
	}
	return c
}
