package broker

import (
	"cmp"
	"fmt"

	"servicebroker/resources"
)

// advice is what a limit of the configuration lacks to be reached.
type advice struct{ parameter, text string }

// lacks says which of the configured limits there are too few descriptors for.
func (r *descriptorRoom) lacks(c *Config) (all []advice) {
	if r.total == 0 {
		return nil
	}
	for _, one := range []struct {
		parameter string
		wanted    int
		room      int
		takes     int
	}{
		{"MAX_ALL_CONNECTIONS", c.Limits.MaxConnections, r.clients, perClient},
		{"MAX_SESSIONS", c.Limits.MaxSessions, r.clients, perClient},
		{"MAX_REG_CONNECTIONS", c.MaxRegistrations, r.total / 2, 1},
	} {
		if _, given := c.Given[one.parameter]; one.wanted <= one.room || one.parameter == "MAX_REG_CONNECTIONS" && !given && r.total >= 512 {
			continue
		}
		all = append(all, advice{one.parameter, fmt.Sprintf("%s=%d cannot be reached: of the %d descriptors that a process may have here (RLIMIT_NOFILE) there are enough for %d, at %d each: raise LimitNOFILE of the unit, or ulimit -n, to %d at least, or lower it",
			one.parameter, one.wanted, r.total, one.room, one.takes, neededFor(one.wanted, one.takes))})
	}
	return all
}

// neededFor is how many descriptors there have to be for so many connections at so many each.
func neededFor(connections, each int) int {
	if each == 1 {
		return connections * 2
	}
	need := connections*each + 2*ownFiles
	return need + min(max(leastReserve, need/9), mostReserve)
}

// checkDescriptors says what the process that checks would lack, if it served.
func (c *Config) checkDescriptors() Messages {
	total, err := resources.Descriptors()
	if err != nil {
		return nil
	}
	var room descriptorRoom
	room.divide(total, ownFiles+len(c.Addresses))
	var all Messages
	for _, one := range room.lacks(c) {
		m := Message{File: c.File, Line: 1, Column: 1, Severity: SeverityWarning, Text: one.text}
		if given, set := c.Given[one.parameter]; set {
			m.File, m.Line, m.Column = given.place()
		}
		all = append(all, m)
	}
	return all
}

// logRoom says how much there is, and what that is too little for.
func (b *Broker) logRoom() {
	r, m := &b.overload.descriptors, &b.overload.memory
	b.log.Info("room", "descriptors", r.total, "reserved", r.reserve, "clients", b.limiting.connections.Counts().Most, "memory", cmp.Or(memoryText(m.limit.Load()), "no limit"), "container", cmp.Or(memoryText(m.container.Limit), "no limit"))
	for _, one := range r.lacks(b.settings().config) {
		b.log.Warn(one.text)
	}
}
