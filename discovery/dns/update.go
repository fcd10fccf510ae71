package dns

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/discovery"
)

// Updater writes a zone to a primary elsewhere (UPDATE, RFC 2136, over TCP). It is a destination of publications, of which it takes
// the first zone as most see it.
//
// What it has written is noted in the zone itself, in the same transaction: PTR records at 1024 names below _broker, so that whoever
// writes next knows which names are the brokers'. A name that others made is never touched.
type Updater struct {
	Primary string // "host:port"
	// Zone is the one on the primary; it may be above the layout's. Nothing is written at its own name, and no NS anywhere.
	Zone    string
	Key     Key
	Timeout time.Duration // for one message; 0: 5 s
	// Full is how often everything is compared with what the primary has; 0: 10 minutes.
	Full time.Duration
	// Writing tells whether it is this broker that writes, where several share a zone; nil: it is.
	Writing func() bool
	Log     *slog.Logger

	doubted atomic.Bool              // what the primary has is to be read again
	refused atomic.Pointer[[]string] // names that could not be written when all was written last

	mu      sync.Mutex // guards what follows, and is held while the primary is waited for
	known   bool       // the rest is what the primary has
	fullAt  time.Time
	applied map[string][]Record // by name
	owned   map[string]bool     // names of ours
	foreign map[string]bool     // names of others that are wanted
	ttl     uint32
}

// Foreign returns the names that could not be written, because others made them. It waits for nobody.
func (u *Updater) Foreign() []string {
	if names := u.refused.Load(); names != nil {
		return slices.Clone(*names)
	}
	return nil
}

// Doubt has the next Sync compare everything with what the primary has, as is wise once others may have written there.
func (u *Updater) Doubt() { u.doubted.Store(true) }

// Sync writes what differs.
func (u *Updater) Sync(ctx context.Context, p Publication) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.Writing != nil && !u.Writing() {
		u.known = false
		return discovery.ErrStandby
	}
	if u.doubted.Swap(false) {
		u.known = false
	}
	if err := u.Key.check(); err != nil {
		return err
	}
	if len(p.Zones) == 0 {
		return errors.New("there is no zone to write")
	}
	c, err := u.dial(ctx, p.Zones[0].Name)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	desired := u.desired(p)
	if u.ttl != p.TTL { // all of it is written with the new one
		u.applied, u.ttl = map[string][]Record{}, p.TTL
	}
	full := !u.known || time.Now().After(u.fullAt)
	if full {
		if err := u.read(c, desired); err != nil {
			return err
		}
	}
	u.known = false // until all is written
	if err := u.write(c, desired); err != nil {
		return err
	}
	u.known = true
	foreign := sortedKeys(u.foreign)
	u.refused.Store(&foreign)
	if full {
		interval := u.Full
		if interval == 0 {
			interval = 10 * time.Minute
		}
		u.fullAt = time.Now().Add(interval)
	}
	return nil
}

// desired are the records to write, by name, with the versions in TXT that they have already.
func (u *Updater) desired(p Publication) map[string][]Record {
	var past []Record
	for _, name := range sortedKeys(u.applied) {
		past = append(past, u.applied[name]...)
	}
	desired := map[string][]Record{}
	for _, r := range stamp(p.Zones[0].Records, past, p.Version) {
		if r.Type != wire.TypeNS && r.Name != wire.CanonicalName(u.Zone) && r.Name != "ns."+p.Zones[0].Name {
			desired[r.Name] = append(desired[r.Name], r)
		}
	}
	return desired
}

// primary is a connection to it.
type primary struct {
	*Updater
	ctx    context.Context
	client *wire.Client
	conn   net.Conn
	layout string // the layout's zone
}

func (u *Updater) timeout() time.Duration {
	if u.Timeout > 0 {
		return u.Timeout
	}
	return 5 * time.Second
}

func (u *Updater) dial(ctx context.Context, layout string) (*primary, error) {
	c := &primary{Updater: u, ctx: ctx, layout: layout, client: &wire.Client{
		Net: "tcp", Timeout: u.timeout(), TsigSecret: map[string]string{u.Key.name(): u.Key.Secret},
	}}
	var err error
	if c.conn, err = u.connect(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func (u *Updater) connect(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: u.timeout()}
	conn, err := dialer.DialContext(ctx, "tcp", u.Primary)
	if err != nil {
		return nil, fmt.Errorf("the DNS primary cannot be reached: %w", err)
	}
	return conn, nil
}

// exchange sends a message, signed, and returns the answer.
func (c *primary) exchange(m *wire.Msg) (*wire.Msg, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	m.SetTsig(c.Key.name(), c.Key.algorithm(), fudge, time.Now().Unix())
	// A conn of the library remembers the last signature and would have it in the next one.
	reply, _, err := c.client.ExchangeWithConnContext(c.ctx, m, &wire.Conn{Conn: c.conn})
	switch {
	case errors.Is(err, wire.ErrAuth): // the library's word for that answer to what was signed
		return nil, fmt.Errorf("the DNS primary at %s answers with %s: %s", c.Primary, wire.RcodeToString[wire.RcodeNotAuth], whyNotAuth(reply, c.Key, c.Zone))
	case err != nil:
		return nil, fmt.Errorf("the DNS primary at %s: %w", c.Primary, err)
	}
	return reply, nil
}

// refusal is what a primary answers to an update that it does not carry out.
type refusal struct {
	primary string
	rcode   int
}

func (r refusal) Error() string {
	hint := "its log says why"
	switch r.rcode {
	case wire.RcodeRefused, wire.RcodeNotAuth:
		hint = "let the key update the zone there (allow-update or update-policy), and check its name and secret"
	case wire.RcodeNotZone:
		hint = "DNS_ZONE must be a zone of that server or below one"
	}
	return fmt.Sprintf("the DNS primary at %s answers UPDATE with %s: %s", r.primary, wire.RcodeToString[r.rcode], hint)
}

const (
	batchNames   = 100  // changed by one message
	batchRecords = 400  // in one message, about
	shards       = 1024 // names at which is noted which names are ours, so that of 60,000 no 100 come together (maxRecords)
	index        = "_broker."
)

// shard is the name at which is noted that name is ours.
func (c *primary) shard(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("_%03x.%s%s", h.Sum32()%shards, index, c.layout)
}

// edit is what becomes of one name.
type edit struct {
	name    string
	records []Record // none: it goes
}

// write sends all that differs from what the primary has.
func (u *Updater) write(c *primary, desired map[string][]Record) error {
	u.foreign = map[string]bool{}
	var edits []edit
	for _, name := range sortedKeys(u.owned) {
		if _, wanted := desired[name]; !wanted {
			edits = append(edits, edit{name: name})
		}
	}
	for _, name := range sortedKeys(desired) {
		if !u.owned[name] || !slices.Equal(u.applied[name], desired[name]) {
			edits = append(edits, edit{name, desired[name]})
		}
	}
	for len(edits) > 0 {
		n, records := 0, 0
		for n < len(edits) && n < batchNames && (n == 0 || records+len(edits[n].records) <= batchRecords) {
			records += len(edits[n].records)
			n++
		}
		if err := c.batch(edits[:n]); err != nil {
			return err
		}
		edits = edits[n:]
	}
	return nil
}

// batch carries out edits in one transaction; or, where one of the names is not ours, all others.
func (c *primary) batch(edits []edit) error {
	m := new(wire.Msg)
	m.SetUpdate(wire.CanonicalName(c.Zone))
	for _, e := range edits {
		c.put(m, e)
	}
	reply, err := c.exchange(m)
	switch {
	case err != nil:
		return err
	case reply.Rcode == wire.RcodeSuccess:
		for _, e := range edits {
			c.done(e)
		}
		return nil
	case reply.Rcode != wire.RcodeYXDomain:
		return refusal{c.Primary, reply.Rcode}
	case len(edits) == 1:
		c.foreign[edits[0].name] = true
		if c.Log != nil {
			c.Log.Warn("a name is not written to the DNS primary: somebody else made it", "name", edits[0].name, "remedy", "remove it there, or rename the service")
		}
		return nil
	}
	half := len(edits) / 2
	if err := c.batch(edits[:half]); err != nil {
		return err
	}
	return c.batch(edits[half:])
}

// put adds one edit to a message.
func (c *primary) put(m *wire.Msg, e edit) {
	header := func(name string, kind uint16) wire.RR {
		return &wire.ANY{Hdr: wire.RR_Header{Name: name, Rrtype: kind, Class: wire.ClassINET}}
	}
	note := Record{Name: c.shard(e.name), Type: wire.TypePTR, Target: e.name}
	if c.owned[e.name] {
		for _, kind := range []uint16{wire.TypeA, wire.TypeAAAA, wire.TypeSRV, wire.TypeTXT} {
			m.RemoveRRset([]wire.RR{header(e.name, kind)})
		}
	} else {
		m.NameNotUsed([]wire.RR{header(e.name, wire.TypeANY)})
	}
	if len(e.records) == 0 {
		m.Remove([]wire.RR{note.rr(0)})
		return
	}
	for i := range e.records {
		m.Insert([]wire.RR{e.records[i].rr(c.ttl)})
	}
	m.Insert([]wire.RR{note.rr(c.ttl)})
}

// done notes what the primary has now.
func (u *Updater) done(e edit) {
	if len(e.records) == 0 {
		delete(u.owned, e.name)
		delete(u.applied, e.name)
		return
	}
	u.owned[e.name], u.applied[e.name] = true, e.records
}

// read finds out which names are ours, and which of them are as desired.
func (u *Updater) read(c *primary, desired map[string][]Record) error {
	u.owned, u.applied = map[string]bool{}, map[string][]Record{}
	has, err := c.copy()
	if err != nil { // whoever may not copy the zone asks for what is ours, and writes it all
		return c.readIndex()
	}
	for name, records := range has {
		if strings.HasSuffix(name, "."+index+c.layout) {
			for rr := range records {
				if _, data, _ := strings.Cut(rr, " "); strings.HasPrefix(data, "PTR ") {
					u.owned[data[len("PTR "):]] = true
				}
			}
		}
	}
	for name, records := range desired {
		if u.owned[name] && same(has[name], records, u.ttl) {
			u.applied[name] = records
		}
	}
	return nil
}

// same reports whether a name has the given records of our types, and no others. Versions in TXT may differ.
func same(has map[string]bool, records []Record, ttl uint32) bool {
	n := 0
	for rr := range has {
		switch strings.Fields(rr)[1] {
		case "A", "AAAA", "SRV", "TXT":
			n++
		}
	}
	for i := range records {
		if !has[essence(records[i].rr(ttl))] {
			return false
		}
	}
	return n == len(records)
}

// essence is a record's TTL, type and data, without the version of a TXT.
func essence(rr wire.RR) string {
	fields := strings.Fields(rr.String())
	ttl := fields[1]
	fields = slices.DeleteFunc(fields[3:], func(f string) bool { return strings.HasPrefix(f, `"version=`) })
	return ttl + " " + strings.Join(fields, " ")
}

// copy transfers the zone: of each name, the records below the layout's zone.
func (c *primary) copy() (map[string]map[string]bool, error) {
	m := new(wire.Msg)
	m.SetAxfr(wire.CanonicalName(c.Zone))
	m.SetTsig(c.Key.name(), c.Key.algorithm(), fudge, time.Now().Unix())
	conn, err := c.connect(c.ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// Each message has its time, and there may be any number of them: what ends all is the connection's end.
	defer context.AfterFunc(c.ctx, func() { conn.Close() })()
	t := &wire.Transfer{Conn: &wire.Conn{Conn: conn}, ReadTimeout: c.timeout(), WriteTimeout: c.timeout(), TsigSecret: c.client.TsigSecret}
	envelopes, err := t.In(m, c.Primary)
	if err != nil {
		return nil, err
	}
	has := map[string]map[string]bool{}
	for e := range envelopes { // to its end, or whoever fills it would never end
		if e.Error != nil {
			err = e.Error
		}
		for _, rr := range e.RR {
			name := strings.ToLower(rr.Header().Name)
			if has[name] == nil {
				has[name] = map[string]bool{}
			}
			has[name][essence(rr)] = true
		}
	}
	return has, errors.Join(err, c.ctx.Err())
}

// readIndex asks for the names that are ours.
func (c *primary) readIndex() error {
	for i := range shards {
		m := new(wire.Msg)
		m.SetQuestion(fmt.Sprintf("_%03x.%s%s", i, index, c.layout), wire.TypePTR)
		reply, err := c.exchange(m)
		if err != nil {
			return err
		}
		if reply.Rcode != wire.RcodeSuccess && reply.Rcode != wire.RcodeNameError {
			return fmt.Errorf("the DNS primary at %s answers with %s: check that it serves %s", c.Primary, wire.RcodeToString[reply.Rcode], c.Zone)
		}
		for _, rr := range reply.Answer {
			if ptr, is := rr.(*wire.PTR); is {
				c.owned[strings.ToLower(ptr.Ptr)] = true
			}
		}
	}
	return nil
}
