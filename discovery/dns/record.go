package dns

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	wire "github.com/miekg/dns"
)

// Record is one record of a zone, as a value that can be compared. Only the fields of its type are set.
type Record struct {
	Name string // absolute, in lower case
	Type uint16

	Addr                   netip.Addr // of an A or AAAA
	Priority, Weight, Port uint16     // of an SRV
	Target                 string     // of an SRV, NS or PTR: absolute, in lower case

	// Of a TXT.
	Instance, Host, State string
	Version               uint64 // of the table, when the rest of the record became so
	Text                  string // of a TXT about nothing else
}

func compareRecords(a, b Record) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), a.Addr.Compare(b.Addr),
		cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port),
		cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Host, b.Host), cmp.Compare(a.State, b.State), cmp.Compare(a.Text, b.Text))
}

// sorted brings records into the order in which they are compared, each once.
func sorted(records []Record) []Record {
	slices.SortFunc(records, compareRecords)
	return slices.CompactFunc(records, func(a, b Record) bool { return compareRecords(a, b) == 0 })
}

// rr returns r as it goes over the wire.
func (r *Record) rr(ttl uint32) wire.RR {
	h := wire.RR_Header{Name: r.Name, Rrtype: r.Type, Class: wire.ClassINET, Ttl: ttl}
	switch r.Type {
	case wire.TypeA:
		return &wire.A{Hdr: h, A: r.Addr.AsSlice()}
	case wire.TypeAAAA:
		return &wire.AAAA{Hdr: h, AAAA: r.Addr.AsSlice()}
	case wire.TypeSRV:
		return &wire.SRV{Hdr: h, Priority: r.Priority, Weight: r.Weight, Port: r.Port, Target: r.Target}
	case wire.TypeNS:
		return &wire.NS{Hdr: h, Ns: r.Target}
	case wire.TypePTR:
		return &wire.PTR{Hdr: h, Ptr: r.Target}
	}
	return &wire.TXT{Hdr: h, Txt: r.texts()}
}

// texts are the strings of a TXT, in the form in which the library wants them: with what is not printable escaped.
func (r *Record) texts() []string {
	if r.Instance == "" && r.State == "" {
		return []string{escape(r.Text)}
	}
	var texts []string
	for _, t := range []struct{ key, value string }{{"instance", r.Instance}, {"host", r.Host}, {"state", r.State}} {
		if t.value != "" {
			texts = append(texts, escape(t.key+"="+t.value))
		}
	}
	if r.Version > 0 {
		texts = append(texts, "version="+strconv.FormatUint(r.Version, 10))
	}
	return texts
}

// maxText is the longest string of a TXT.
const maxText = 255

func escape(text string) string {
	var b strings.Builder
	for i := range min(len(text), maxText) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// stamp gives every TXT about an instance the version of the table in which it became what it is: that of the same record before,
// or the given one.
func stamp(records, before []Record, version uint64) []Record {
	records = slices.Clone(records)
	for i := range records {
		r := &records[i]
		if r.Type != wire.TypeTXT || r.State == "" {
			continue
		}
		r.Version = max(version, 1)
		if at, there := slices.BinarySearchFunc(before, *r, compareRecords); there {
			r.Version = before[at].Version
		}
	}
	return records
}
