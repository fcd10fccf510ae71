package intent

import (
	"net/netip"
	"strconv"
	"strings"
)

// Subject is what an intent may be about: an instance, or one service at one instance.
type Subject struct {
	Database string // name of its REGISTRANT group, if any
	Service  string // as registered; "" for the instance as a whole
	Instance string // name
	Host     string // as registered
}

// Matches reports whether s is what t names. A field that t gives never fits one that s leaves empty: an intent about a
// service is not about the instance as a whole. The network is not looked at; a quarantined registration is nobody's
// subject.
func (t Target) Matches(s Subject) bool {
	if t.Quarantine != "" {
		return false
	}
	instance, host, qualified := strings.Cut(t.Instance, "@")
	return fitsOrUnset(t.Database, s.Database) && fitsOrUnset(t.Node, s.Host) &&
		fitsOrUnset(instance, s.Instance) && (!qualified || fitsOrUnset(host, s.Host)) &&
		(t.Service == "" || serviceFits(t.Service, s.Service))
}

// MatchesClient reports whether t is about clients from addr: about those of its network, or about all if it has none.
func (t Target) MatchesClient(addr netip.Addr) bool {
	if t.Network == "" {
		return true
	}
	network, err := parseNetwork(t.Network)
	return err == nil && network.Contains(addr.Unmap().WithZone(""))
}

// String returns the fields of t in one line, "service=sales instance=sales1@db1".
func (t Target) String() string {
	var b strings.Builder
	for _, f := range t.fields() {
		if *f.text == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		value := *f.text
		if quoted := strconv.Quote(value); len(quoted) > len(value)+2 || strings.ContainsAny(value, " =") {
			value = quoted
		}
		b.WriteString(f.name + "=" + value)
	}
	return b.String()
}

// Effects returns those intents of list that say how to treat s whoever the client is: drains, weights, holds and
// maintenance about it without a network, in the order of the list.
func Effects(list []Intent, s Subject) []Intent {
	var about []Intent
	for _, i := range list {
		if i.Target.Network == "" && i.Kind != Approve && i.Kind != Reject && i.Target.Matches(s) {
			about = append(about, i)
		}
	}
	return about
}

// WeightOf returns the weight, in per cent, that effects give their subject: that of the target with the most fields,
// among equals the later in the list. It is false if there is none.
func WeightOf(effects []Intent) (percent uint32, set bool) {
	most := 0
	for i := range effects {
		if n := effects[i].Target.count(); effects[i].Kind == Weight && n >= most {
			percent, set, most = effects[i].Value, true, n
		}
	}
	return percent, set
}

// Decided returns what operators said about the quarantined registration of that ID.
func Decided(list []Intent, quarantine string) (approved, rejected bool) {
	for i := range list {
		if quarantine != "" && list[i].Target.Quarantine == quarantine {
			approved, rejected = list[i].Kind == Approve, list[i].Kind == Reject
		}
	}
	return approved, rejected
}

// field is one field of a target by the name people use for it.
type field struct {
	name string
	text *string
}

func (t *Target) fields() [6]field {
	return [...]field{{"database", &t.Database}, {"service", &t.Service}, {"instance", &t.Instance}, {"node", &t.Node},
		{"network", &t.Network}, {"quarantine", &t.Quarantine}}
}

func (t Target) count() int {
	n := 0
	for _, f := range t.fields() {
		if *f.text != "" {
			n++
		}
	}
	return n
}

// same reports whether two checked targets are the same one.
func (t Target) same(o Target) bool {
	mine, theirs := t.fields(), o.fields()
	for i := range mine {
		if !sameName(*mine[i].text, *theirs[i].text) {
			return false
		}
	}
	return true
}
