package dns

import (
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// maxUDP is the largest answer over UDP: what passes without being cut into fragments.
const maxUDP = 1232

// content is all that is served, as of one Sync.
type content struct {
	zones      []*zone // as most see them
	views      []seen
	superseded chan struct{}
}

// seen is what the clients of a view see.
type seen struct {
	clients []netip.Prefix
	zones   []*zone
}

// seen returns the zones as a client sees them.
func (c *content) seen(from netip.Addr) []*zone {
	if len(c.views) == 0 {
		return c.zones
	}
	from = from.Unmap().WithZone("")
	best, bits := c.zones, -1
	for i := range c.views {
		for _, p := range c.views[i].clients {
			if p.Bits() > bits && p.Contains(from) {
				best, bits = c.views[i].zones, p.Bits()
			}
		}
	}
	return best
}

// within returns the zone that name, in lower case, belongs to; nil if there is none.
func within(zones []*zone, name string) *zone {
	var best *zone
	for _, z := range zones {
		if (best == nil || len(z.name) > len(best.name)) && isWithin(name, z.name) {
			best = z
		}
	}
	return best
}

// isWithin reports whether name is zone or below it; both in lower case. A dot after an odd number of \ divides no labels.
func isWithin(name, zone string) bool {
	above, found := strings.CutSuffix(name, zone)
	switch {
	case !found:
		return false
	case above == "":
		return true
	}
	above, found = strings.CutSuffix(above, ".")
	return found && (len(above)-len(strings.TrimRight(above, `\`)))%2 == 0
}

// query is one question and the answer to it in the making.
type query struct {
	request, reply *wire.Msg
	name           string // in lower case
	kind           uint16
	zone           *zone
	secure         bool // signatures are wanted and to be had
	now            time.Time
	turn           uint32 // by how much answers are rotated, so that clients that take the first spread
}

// open makes the reply one to the request.
func (q *query) open() {
	q.reply.SetReply(q.request)
	if opt := q.request.IsEdns0(); opt != nil {
		q.reply.SetEdns0(maxUDP, opt.Do())
	}
}

// begin checks what holds for all questions. It returns false if the reply is complete.
func (q *query) begin(zones []*zone) bool {
	q.open()
	opt := q.request.IsEdns0()
	switch {
	case opt != nil && opt.Version() != 0:
		q.reply.Rcode = wire.RcodeBadVers
		return false
	case q.request.Opcode != wire.OpcodeQuery:
		q.reply.Rcode = wire.RcodeNotImplemented
		return false
	case len(q.request.Question) != 1 || options(q.request) > 1:
		q.reply.Rcode = wire.RcodeFormatError
		return false
	}
	question := q.request.Question[0]
	q.name, q.kind = strings.ToLower(question.Name), question.Qtype
	switch q.kind {
	case wire.TypeOPT, wire.TypeTSIG, wire.TypeNXNAME: // those are never asked for
		q.reply.Rcode = wire.RcodeFormatError
		return false
	case wire.TypeTKEY, wire.TypeMAILA, wire.TypeMAILB:
		q.reply.Rcode = wire.RcodeNotImplemented
		return false
	}
	q.zone = within(zones, q.name)
	if q.zone == nil || question.Qclass != wire.ClassINET {
		q.reply.Rcode = wire.RcodeRefused // neither ours nor looked up for anyone
		return false
	}
	q.secure = opt != nil && opt.Do() && q.zone.signer != nil
	q.reply.Authoritative = true
	return true
}

// options counts the OPT records of a request, of which there is one at most, RFC 6891 6.1.1.
func options(request *wire.Msg) (n int) {
	for _, rr := range request.Extra {
		if rr.Header().Rrtype == wire.TypeOPT {
			n++
		}
	}
	return n
}

// answer fills in what the zone says.
func (q *query) answer() {
	n := q.zone.nodes[q.name]
	switch {
	case q.deniable() && q.kind == wire.TypeNSEC: // RFC 9824 3.5: there is one at every name that is asked for
		q.put(&q.reply.Answer, denial(q.name, kindsAt(n), q.zone.ttl))
	case q.secure && q.kind == wire.TypeRRSIG && (n != nil || q.deniable()): // and so is its signature
		if n != nil {
			for _, set := range n.sets {
				q.sign(&q.reply.Answer, set)
			}
		}
		if q.deniable() {
			q.sign(&q.reply.Answer, denial(q.name, kindsAt(n), q.zone.ttl))
		}
	case n == nil:
		q.deny(nil)
	case q.kind == wire.TypeANY:
		// RFC 8482: who asks for all gets no more than this.
		q.put(&q.reply.Answer, &rrset{rrs: []wire.RR{&wire.HINFO{
			Hdr: wire.RR_Header{Name: q.name, Rrtype: wire.TypeHINFO, Class: wire.ClassINET, Ttl: 3600}, Cpu: "RFC8482",
		}}})
	default:
		set := n.set(q.kind)
		if set == nil {
			q.deny(n)
			return
		}
		q.put(&q.reply.Answer, set)
		if q.kind == wire.TypeSRV || q.kind == wire.TypeNS {
			q.glue(set)
		}
	}
}

// put adds set to a section, and its signature.
func (q *query) put(section *[]wire.RR, set *rrset) {
	first := 0
	if n := len(set.rrs); n > 1 {
		first = int(q.turn % uint32(n))
	}
	*section = append(append(*section, set.rrs[first:]...), set.rrs[:first]...)
	q.sign(section, set)
}

// sign adds the signature of set to a section, if signatures are wanted.
func (q *query) sign(section *[]wire.RR, set *rrset) {
	if !q.secure {
		return
	}
	if sig := q.zone.signer.sign(set, q.now); sig != nil {
		*section = append(*section, sig)
	}
}

// maxGlue is for how many targets addresses are added.
const maxGlue = 16

// glue adds the addresses of targets, so that they need not be asked for.
func (q *query) glue(set *rrset) {
	added := map[string]bool{}
	for _, rr := range q.reply.Answer {
		target := ""
		switch rr := rr.(type) {
		case *wire.SRV:
			target = rr.Target
		case *wire.NS:
			target = rr.Ns
		}
		n := q.zone.nodes[target]
		if n == nil || added[target] || len(added) == maxGlue {
			continue
		}
		added[target] = true
		for _, kind := range []uint16{wire.TypeA, wire.TypeAAAA} {
			if set := n.set(kind); set != nil {
				q.put(&q.reply.Extra, set)
			}
		}
	}
}

// deny says that there is no such type at n, or no such name if n is nil.
func (q *query) deny(n *node) {
	q.put(&q.reply.Ns, q.zone.soa)
	switch {
	case !q.secure && n == nil:
		q.reply.Rcode = wire.RcodeNameError
	case q.deniable():
		q.put(&q.reply.Ns, denial(q.name, kindsAt(n), q.zone.ttl))
	}
}

// deniable reports whether an NSEC can be made: signatures are wanted, and the next name, which is longer by one label, has a place.
func (q *query) deniable() bool {
	return q.secure && wireLength(q.name) <= maxWire-len("\x01\x00")
}

// kindsAt are the types that an NSEC names; of no node, that there is no such name.
func kindsAt(n *node) []uint16 {
	if n == nil {
		return []uint16{wire.TypeNXNAME}
	}
	var kinds []uint16
	for _, set := range n.sets {
		kinds = append(kinds, set.rrs[0].Header().Rrtype)
	}
	return kinds
}

// maxWire is how long a name may be on the wire.
const maxWire = 255

func wireLength(name string) int {
	n, err := wire.PackDomainName(name, make([]byte, maxWire+1), 0, nil, false)
	if err != nil {
		return maxWire
	}
	return n
}

// fit cuts the reply to what fits into size. Addresses beside an SRV are left out without saying so, RFC 2181 9.
func (q *query) fit(size int) {
	small := q.reply.Len() <= size // without compression, which is quick to tell
	q.reply.Compress = true
	if small || q.reply.Len() <= size {
		return
	}
	kept := q.reply.Extra[:0:0]
	if opt := q.reply.IsEdns0(); opt != nil {
		kept = append(kept, opt)
	}
	q.reply.Extra = kept
	if q.reply.Len() > size {
		q.reply.Truncate(size)
	}
}

// size is how long the answer may be over UDP.
func (q *query) size() int {
	if opt := q.request.IsEdns0(); opt != nil {
		return min(max(int(opt.UDPSize()), wire.MinMsgSize), maxUDP)
	}
	return wire.MinMsgSize
}
