package loadbalance

import (
	"fmt"
	"strings"

	"servicebroker/servicetable"
)

// Tiers ranks the instances of one service: those of an earlier group are used before any of a later one, whatever
// their load. It is immutable.
type Tiers struct {
	groups [][]string
}

// ParseTiers reads groups separated by semicolons, of names separated by commas: "sales1,sales2;sales3". A name is
// that of an instance, "instance@host", or of a database that a REGISTRANT rule names, in any case. Instances that no group names come
// after all that are named.
func ParseTiers(text string) (*Tiers, error) {
	var t Tiers
	for group := range strings.SplitSeq(text, ";") {
		var names []string
		for name := range strings.SplitSeq(group, ",") {
			if name = strings.TrimSpace(name); name == "" {
				return nil, fmt.Errorf("tiers %q name nobody in one place; write instance names as in sales1,sales2;sales3", text)
			}
			names = append(names, name)
		}
		t.groups = append(t.groups, names)
	}
	return &t, nil
}

// String returns the text that ParseTiers reads.
func (t *Tiers) String() string {
	if t == nil {
		return ""
	}
	groups := make([]string, len(t.groups))
	for i, names := range t.groups {
		groups[i] = strings.Join(names, ",")
	}
	return strings.Join(groups, ";")
}

// of returns the tier of r: the number of its group, or what it registered under where t is nil.
func (t *Tiers) of(r *servicetable.Registration) int {
	if t == nil {
		return r.Tier
	}
	key := r.Key()
	for i, names := range t.groups {
		for _, name := range names {
			if strings.EqualFold(name, r.Instance) || strings.EqualFold(name, key) || r.Database != "" && strings.EqualFold(name, r.Database) {
				return i
			}
		}
	}
	return len(t.groups)
}
