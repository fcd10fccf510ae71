package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"
)

// Server serves zones from memory. It is a destination of publications; Run serves what the last Sync brought. Its fields are not
// to be changed once either has been called.
type Server struct {
	State       string // folder for serials and keys; "": serials come from the clock, and Sign is refused
	Secondaries []Secondary
	Keys        []Key
	Sign        bool // sign answers; keys are made on first use
	// RateLimit bounds the answers a second over UDP to each network that may be forged; 0: 1000, less than 0: none.
	RateLimit  int
	RateExempt []netip.Prefix // networks without that bound; nil: loopback
	// Memory is how long the name of a service that is gone still exists, with a TXT that says so: "no such name" is an answer that
	// resolvers and clients hold against everything below it. 0: 5 minutes. Of more than maxGone such names the last are kept.
	Memory time.Duration

	Log      *slog.Logger
	Answered func(kind uint16, rcode int) // told of every answer; may be nil

	content atomic.Pointer[content]
	turn    atomic.Uint32

	mu        sync.Mutex // guards what follows, and orders Syncs
	prepared  bool
	serials   serials
	signers   map[string]*signer
	latest    Publication
	anew      bool                 // every zone gets a new serial, also where nothing has changed
	proofs    map[string][]string  // texts of names that stand in the zone besides
	gone      map[string]time.Time // names of services that are gone, and until when they exist
	secrets   secrets
	rates     *rates
	transfers chan struct{}
	ready     chan struct{} // closed by the first Sync
}

// prepare checks the settings once.
func (s *Server) prepare() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prepared {
		return nil
	}
	s.secrets = secrets{}
	for _, k := range s.Keys {
		if err := k.check(); err != nil {
			return err
		}
		s.secrets[k.name()] = k
	}
	for _, to := range s.Secondaries {
		if _, known := s.key(to.Key); to.Key != "" && !known {
			return fmt.Errorf("secondary %s names key %q, which is not there: give its secret", to.Addr, to.Key)
		}
	}
	switch {
	case s.Sign && len(s.Secondaries) > 0:
		return errors.New("a zone that is signed with each answer cannot be copied by secondaries: leave signing to the primary they share, or run several brokers instead")
	case s.Sign && s.State == "":
		return errors.New("signing needs a folder to keep keys in: set STATE_DIRECTORY")
	}
	if s.State != "" {
		s.serials.path = filepath.Join(s.State, "dns.serial")
	}
	exempt := s.RateExempt
	if exempt == nil {
		exempt = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if s.RateLimit >= 0 {
		limit := s.RateLimit
		if limit == 0 {
			limit = 1000
		}
		s.rates = newRates(limit, exempt)
	}
	s.signers, s.gone, s.proofs = map[string]*signer{}, map[string]time.Time{}, map[string][]string{}
	s.transfers, s.ready = make(chan struct{}, maxTransfers), make(chan struct{})
	s.prepared = true
	return nil
}

func (s *Server) key(name string) (Key, bool) {
	at := slices.IndexFunc(s.Keys, func(k Key) bool { return name != "" && k.name() == wire.CanonicalName(name) })
	if at < 0 {
		return Key{}, false
	}
	return s.Keys[at], true
}

// Sync serves p from now on.
func (s *Server) Sync(_ context.Context, p Publication) error {
	if err := s.prepare(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serve(p)
}

// Resume goes on where another process had the zones meanwhile and is gone: secondaries follow no serial that is below one of its, so
// all zones get one that is beyond.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.content.Load() == nil {
		return nil
	}
	if err := s.serials.resume(); err != nil {
		return err
	}
	s.anew = true
	defer func() { s.anew = false }()
	return s.serve(s.latest)
}

// serve is Sync while mu is held.
func (s *Server) serve(p Publication) error {
	before := s.content.Load()
	if before == nil {
		before = &content{}
	}
	s.latest = p
	s.forget(p, before, time.Now())
	e := edition{ttl: p.TTL}
	next := &content{superseded: make(chan struct{})}
	changed, err := before.superseded == nil || len(before.views) != len(p.Views), error(nil)
	if next.zones, err = s.succeed(p.Zones, before.zones, &e, p.Version); err != nil {
		return err
	}
	for i := range p.Views {
		var old seen
		now := seen{clients: p.Views[i].Clients}
		if i < len(before.views) && slices.Equal(now.clients, before.views[i].clients) {
			old = before.views[i]
		} else {
			changed = true
		}
		if now.zones, err = s.succeed(p.Views[i].Zones, old.zones, &e, p.Version); err != nil {
			return err
		}
		next.views = append(next.views, now)
	}
	if !changed && e.serial == 0 {
		return nil
	}
	s.content.Store(next)
	if before.superseded != nil {
		close(before.superseded)
	} else {
		close(s.ready)
	}
	return nil
}

// succeed returns what follows some zones.
func (s *Server) succeed(zones []Zone, old []*zone, e *edition, version uint64) ([]*zone, error) {
	list := make([]*zone, 0, len(zones))
	for _, z := range zones {
		if z.Name == "" {
			continue
		}
		built, err := s.update(z, e, version, within(old, z.Name))
		if err != nil {
			return nil, err
		}
		list = append(list, built)
	}
	return list, nil
}

// update returns what follows a zone. All that change in one Sync get one serial, which is in e then.
func (s *Server) update(z Zone, e *edition, version uint64, old *zone) (*zone, error) {
	if old != nil && old.name != z.Name {
		old = nil
	}
	var past []Record
	if old != nil {
		past = old.records
	}
	z = s.remembered(z, old)
	z.Records = stamp(z.Records, past, version)
	if old != nil && !s.anew && old.ttl == e.ttl && slices.Equal(old.records, z.Records) {
		return old, nil
	}
	if e.serial == 0 {
		serial, err := s.serials.next(version)
		if err != nil {
			return nil, err
		}
		e.serial = serial
		if err := s.serials.trouble(); err != nil && s.Log != nil {
			s.Log.Warn("the serial of the DNS zone could not be kept: the zone follows the table all the same, but secondaries may stop doing so after a restart", "cause", err.Error(), "remedy", "check the state directory and its disk")
		}
	}
	edition := *e
	if s.Sign {
		var err error
		if edition.signer, err = s.signer(z.Name); err != nil {
			return nil, err
		}
	}
	next := build(z, edition, old)
	if old != nil && old.ttl == next.ttl { // else no record is as it was
		next.follow(old)
	}
	return next, nil
}

func (s *Server) signer(zone string) (*signer, error) {
	if known := s.signers[zone]; known != nil {
		return known, nil
	}
	made, err := loadSigner(filepath.Join(s.State, "dnssec"), zone)
	if err != nil {
		return nil, err
	}
	s.signers[zone] = made
	if s.Log != nil {
		s.Log.Info("a zone is signed: its parent zone needs this record", "zone", zone, "ds", made.ds())
	}
	return made, nil
}

// DS returns the records that the parent zones need, once there are signed zones.
func (s *Server) DS() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, zone := range sortedKeys(s.signers) {
		all = append(all, s.signers[zone].ds())
	}
	return all
}

// maxGone bounds the names of services that are gone: an instance may bring thousands of new names with each message, and take them
// away with the next one.
const maxGone = 10_000

// forget notes which services are gone since before, and forgets those that have been for long, or longest where there are too many.
func (s *Server) forget(p Publication, before *content, now time.Time) {
	if len(p.Zones) == 0 {
		return
	}
	memory := s.Memory
	if memory == 0 {
		memory = 5 * time.Minute
	}
	for name, until := range s.gone {
		if !now.Before(until) {
			delete(s.gone, name)
		}
	}
	there := map[string]bool{}
	for i := range p.Zones[0].Records {
		if r := &p.Zones[0].Records[i]; r.State != "" {
			there[r.Name] = true
			delete(s.gone, r.Name)
		}
	}
	if z := within(before.zones, p.Zones[0].Name); z != nil {
		for i := range z.records {
			if r := &z.records[i]; r.State != "" && r.State != stateGone && !there[r.Name] {
				s.gone[r.Name] = now.Add(memory)
			}
		}
	}
	if excess := len(s.gone) - maxGone; excess > 0 {
		names := sortedKeys(s.gone)
		slices.SortStableFunc(names, func(a, b string) int { return s.gone[a].Compare(s.gone[b]) })
		for _, name := range names[:excess] {
			delete(s.gone, name)
		}
	}
}

const stateGone = "gone"

// remembered returns z with the names of services that are gone, as far as z had them before, and with proofs.
func (s *Server) remembered(z Zone, before *zone) Zone {
	if len(s.gone)+len(s.proofs) == 0 {
		return z
	}
	z.Records = slices.Clone(z.Records)
	for name, texts := range s.proofs {
		for _, text := range texts {
			if isWithin(name, z.Name) {
				z.Records = append(z.Records, Record{Name: name, Type: wire.TypeTXT, Text: text})
			}
		}
	}
	for name := range s.gone {
		if before.hasService(name) { // who does not see a service learns nothing of its end
			z.Records = append(z.Records, Record{Name: name, Type: wire.TypeTXT, State: stateGone})
		}
	}
	z.Records = sorted(z.Records)
	return z
}

// ServeDNS answers one request.
func (s *Server) ServeDNS(w wire.ResponseWriter, request *wire.Msg) {
	from := addressOf(w.RemoteAddr())
	now := time.Now()
	q := &query{request: request, reply: new(wire.Msg), now: now, turn: s.turn.Add(1)}
	if isUDP(w) && s.rates != nil {
		switch s.rates.judge(from, now) {
		case drops:
			return
		case slip:
			q.open()
			q.reply.Truncated = true
			s.write(w, q)
			return
		}
	}
	c := s.content.Load()
	switch {
	case isHollow(request.IsTsig()):
		q.open()
		q.reply.Rcode = wire.RcodeFormatError
	case request.IsTsig() != nil && w.TsigStatus() != nil:
		q.open()
		q.reply.Rcode = wire.RcodeNotAuth
	case c == nil:
		q.open()
		q.reply.Rcode = wire.RcodeServerFailure
	case !q.begin(c.seen(from)):
	case q.kind == wire.TypeAXFR || q.kind == wire.TypeIXFR:
		s.transfer(w, q, from)
		return
	default:
		q.answer()
	}
	s.write(w, q)
}

// write sends the reply, cut to what fits.
func (s *Server) write(w wire.ResponseWriter, q *query) {
	size, tsig := wire.MaxMsgSize, q.request.IsTsig()
	if isUDP(w) {
		size = q.size()
	}
	if tsig != nil {
		size -= wire.Len(tsig) + len("\x00\x00\x00\x00\x00\x00") // with the time of a BADTIME
	}
	q.fit(size)
	signed := true
	switch {
	case tsig == nil, isHollow(tsig):
	case w.TsigStatus() == nil:
		q.reply.SetTsig(tsig.Hdr.Name, tsig.Algorithm, fudge, q.now.Unix())
	default:
		signed = badSignature(q.reply, tsig, w.TsigStatus(), q.now)
	}
	if s.Answered != nil {
		s.Answered(q.kind, q.reply.Rcode)
	}
	if signed {
		_ = w.WriteMsg(q.reply) // who is gone needs no answer
		return
	}
	// The library would leave out the time, which others take for clocks that differ.
	if packed, err := q.reply.Pack(); err == nil {
		_, _ = w.Write(packed)
	}
}

// isHollow tells whether a signature has no contents, which cannot be answered by one like it: RFC 8945 5.2 has FORMERR for it.
func isHollow(t *wire.TSIG) bool { return t != nil && t.Algorithm == "" }

func isUDP(w wire.ResponseWriter) bool {
	_, is := w.RemoteAddr().(*net.UDPAddr)
	return is
}

func addressOf(a net.Addr) netip.Addr {
	var port netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		port = a.AddrPort()
	case *net.TCPAddr:
		port = a.AddrPort()
	}
	return port.Addr()
}
