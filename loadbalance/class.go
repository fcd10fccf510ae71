package loadbalance

import "servicebroker/servicetable"

// class is what comes before any score; lower is better. From the most significant part on: whether it has any
// weight, status, tier, whether the handler is at its maximum, whether it leads to another instance, zone.
type class uint16

// The parts of a class. There are 8 bits for the tier.
const (
	otherZone   class = 1 << 0
	forwarding  class = 1 << 1
	full        class = 1 << 2
	tierShift         = 3
	lowestTier        = 255
	statusShift       = 11
	noWeight    class = 1 << 14
	worstClass  class = 1<<15 - 1
)

func classOf(c *servicetable.Candidate, tier int, zone string) class {
	all := class(statusRank(c.Status))<<statusShift | class(min(max(tier, 0), lowestTier))<<tierShift
	if c.Service.Weight.Percent() == 0 {
		all |= noWeight
	}
	if c.Handler.Blocked() {
		all |= full
	}
	if c.Forwards {
		all |= forwarding
	}
	if zone != "" && c.Registration.Zone != zone {
		all |= otherZone
	}
	return all
}

// statusRank is the place of a status in the order in which instances are tried.
func statusRank(s servicetable.Status) int {
	switch s {
	case servicetable.Ready:
		return 0
	case servicetable.Unknown:
		return 1
	case servicetable.Stale:
		return 2
	case servicetable.Restricted:
		return 3
	}
	return 4
}

// behind tells, for people, why a candidate of class c comes after one of class best; "" if by its score alone.
func (c class) behind(best class) string {
	const statuses, tiers = class(7) << statusShift, class(lowestTier) << tierShift
	switch {
	case c&noWeight != best&noWeight:
		return "its weight is 0"
	case c&statuses != best&statuses:
		return "others are in a better state"
	case c&tiers != best&tiers:
		return "others are of a preferred tier"
	case c&full != best&full:
		return "its handler is at its maximum"
	case c&forwarding != best&forwarding:
		return "its handler leads to another instance"
	case c&otherZone != best&otherZone:
		return "others are in this broker's zone"
	}
	return ""
}
