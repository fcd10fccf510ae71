package dns

import (
	"net/netip"

	wire "github.com/miekg/dns"
)

// Secondary is a name server that copies the zones.
type Secondary struct {
	Addr netip.AddrPort // where it is told of changes, and from which address it copies
	Key  string         // name of the Key by which both sign; "": its address suffices, which can be forged within its network
}

// maxTransfers bounds the copies that are made at the same time.
const maxTransfers = 8

// may reports whether who asks may copy the zones.
func (s *Server) may(w wire.ResponseWriter, request *wire.Msg, from netip.Addr) bool {
	if s.Sign {
		return false // a copy would lack the signatures, which are made with each answer
	}
	tsig := request.IsTsig()
	for i := range s.Secondaries {
		known := &s.Secondaries[i]
		if known.Addr.Addr().Unmap() != from.Unmap() {
			continue
		}
		if known.Key == "" || tsig != nil && w.TsigStatus() == nil && wire.CanonicalName(tsig.Hdr.Name) == wire.CanonicalName(known.Key) {
			return true
		}
	}
	return false
}

// transfer answers a request for the whole zone or its changes.
func (s *Server) transfer(w wire.ResponseWriter, q *query, from netip.Addr) {
	udp := isUDP(w)
	switch {
	case !s.may(w, q.request, from) || udp && q.kind == wire.TypeAXFR:
		q.reply.Rcode = wire.RcodeRefused
		s.write(w, q)
		return
	case q.name != q.zone.name: // RFC 5936 2.2.1
		q.reply.Rcode, q.reply.Authoritative = wire.RcodeNotAuth, false
		s.write(w, q)
		return
	case udp: // RFC 1995 4: this says to come by TCP
		q.reply.Answer = q.zone.soa.rrs
		s.write(w, q)
		return
	}
	select {
	case s.transfers <- struct{}{}:
		defer func() { <-s.transfers }()
	default:
		q.reply.Rcode = wire.RcodeServerFailure
		s.write(w, q)
		return
	}
	out := &outgoing{s: s, w: w, q: q}
	q.stream(out)
	out.flush()
}

// outgoing is a transfer in messages.
type outgoing struct {
	s      *Server
	w      wire.ResponseWriter
	q      *query
	rrs    []wire.RR
	size   int
	failed bool
}

// message is about how much goes into one message.
const message = 16_000

func (o *outgoing) add(rr wire.RR) {
	o.rrs = append(o.rrs, rr)
	if o.size += wire.Len(rr); o.size > message {
		o.flush()
	}
}

func (o *outgoing) flush() {
	if len(o.rrs) > 0 && !o.failed {
		ready := make(chan *wire.Envelope, 1)
		ready <- &wire.Envelope{RR: o.rrs}
		close(ready)
		o.failed = new(wire.Transfer).Out(o.w, o.q.request, ready) != nil
	}
	o.rrs, o.size = nil, 0
}

// stream puts out the changes since the serial that the secondary has, or everything.
func (q *query) stream(out *outgoing) {
	z := q.zone
	end := z.soa.rrs[0]
	records := func(list []Record) {
		for i := range list {
			out.add(list[i].rr(z.ttl))
		}
	}
	out.add(end)
	if q.kind == wire.TypeIXFR && len(q.request.Ns) == 1 {
		if has, is := q.request.Ns[0].(*wire.SOA); is {
			if has.Serial == z.serial {
				return
			}
			if past, known := z.since(has.Serial); known {
				for i := range past {
					out.add(past[i].from.rrs[0])
					records(past[i].gone)
					out.add(past[i].to.rrs[0])
					records(past[i].gained)
				}
				out.add(end)
				return
			}
		}
	}
	records(z.records)
	out.add(end)
}
