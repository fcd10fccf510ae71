package broker

import (
	"servicebroker/console"
	"servicebroker/limits"
)

// limitViews shows the limits in force, the widest first.
func (b *Broker) limitViews() []console.LimitView {
	all := append(b.arrivalLimits(), b.clientLimits()...)
	for _, s := range b.limiting.shares.All() {
		all = append(all, shareLimits(s)...)
	}
	return all
}

// arrivalLimits are those of connections, and of what is built in.
func (b *Broker) arrivalLimits() []console.LimitView {
	l, c := &b.limiting, b.settings().config
	var all []console.LimitView
	if n := l.connections.Counts(); n.Most > 0 {
		by := choose(n.Most == b.overload.descriptors.clients, "descriptors (RLIMIT_NOFILE)", "MAX_ALL_CONNECTIONS")
		all = append(all, console.LimitView{Of: "connections", Unit: "connections", Parameter: by, Most: float64(n.Most), Now: n.Now, Refused: n.Refused})
	}
	silent, evicted := l.silent.Counts()
	handshakes, _ := l.handshakes.Waiting()
	room, held := l.room.Counts(), b.holder.Counters()
	all = append(all,
		console.LimitView{Of: "databases", Unit: "connections", Parameter: "MAX_REG_CONNECTIONS", Most: float64(b.config.MaxRegistrations), Now: b.open.count()["registration"]},
		console.LimitView{Of: "connections that have said nothing", Unit: "connections", Most: mostSilent, Now: silent, Refused: evicted},
		console.LimitView{Of: "refusals before the CONNECT", Unit: "at a time", Most: float64(l.slots.Most), Now: l.slots.Now(), Refused: l.closed.Load()},
		console.LimitView{Of: "TLS handshakes", Unit: "at a time", Most: float64(l.handshakes.Most), Waiting: handshakes},
		console.LimitView{Of: "connects that wait for a turn", Unit: "connects", Most: float64(room.Most), Now: room.Now, Refused: room.Refused},
		console.LimitView{Of: "connects that wait for a service", Unit: "connects", Parameter: "MAX_HELD", Most: float64(c.MaxHeld), Now: held.HeldNow, Refused: held.Full},
	)
	for i, rate := range l.listeners.own {
		if r := rate.PerSecond(); r > 0 {
			all = append(all, rateView("address "+l.addresses[i], "RATE_LIMIT of ADDRESS", r, rate.Counts()))
		}
	}
	if r := l.listeners.together.PerSecond(); r > 0 {
		all = append(all, rateView("addresses with RATE_LIMIT=yes", "CONNECTION_RATE", r, l.listeners.together.Counts()))
	}
	return all
}

// clientLimits are those of each client address.
func (b *Broker) clientLimits() []console.LimitView {
	c := &b.settings().config.Limits
	if c.ClientRate == 0 && c.IPRateCount == 0 {
		return nil
	}
	var all []console.LimitView
	n := b.limiting.sources.Counts()
	if c.ClientRate > 0 {
		all = append(all, rateView("each client", "CLIENT_RATE", c.ClientRate, n.Rates))
	}
	if c.IPRateCount > 0 {
		all = append(all, console.LimitView{
			Of: "each client", Unit: "connects in " + c.IPRateInterval.String(), Parameter: "IP_RATE_COUNT", Most: float64(c.IPRateCount), Now: n.BlockedNow, Refused: n.Refused,
		})
	}
	return all
}

func rateView(of, parameter string, perSecond float64, n limits.RateCounts) console.LimitView {
	return console.LimitView{Of: of, Unit: "connects/s", Parameter: parameter, Most: perSecond, Waiting: n.Waiting, Refused: n.Refused}
}

// shareLimits are those of a rule, a service, a tenant or all.
func shareLimits(s *limits.Share) []console.LimitView {
	var all []console.LimitView
	limit, of := s.Limit(), s.String()
	if limit.Sessions > 0 {
		n := s.Sessions.Counts()
		all = append(all, console.LimitView{Of: of, Unit: "sessions", Parameter: limit.By.Sessions, Most: float64(limit.Sessions), Now: n.Now, Refused: n.Refused})
	}
	if limit.Rate > 0 {
		all = append(all, rateView(of, limit.By.Rate, limit.Rate, s.Rate.Counts()))
	}
	if limit.Bandwidth > 0 {
		waiting := s.ToServer.Counts().Waiting + s.ToClient.Counts().Waiting
		all = append(all, console.LimitView{Of: of, Unit: "bytes/s", Parameter: limit.By.Bandwidth, Most: float64(limit.Bandwidth), Waiting: waiting})
	}
	return all
}
