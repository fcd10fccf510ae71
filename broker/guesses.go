package broker

import (
	"net/netip"
	"time"

	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// guessMemory is for how long a name is remembered that a client asked for and nobody has.
const guessMemory = 5 * time.Minute

// wireGuesses has those found out who try names until one is right.
func (b *Broker) wireGuesses() {
	b.limiting.guesses.Began = func(source netip.Prefix, names int) {
		b.log.Warn("a client guesses names of services: until it has asked for none that nobody has for "+guessMemory.String()+
			" it is answered as if nobody had any, but for those it was served before", "client", source.Addr().String(), "source", source.String(), "names", names,
			"remedy", "if it is one of yours, correct the names it asks for, or raise GUESS_LIMIT; else keep it away by a rule or a firewall")
	}
	b.relay.Guesses = b.guesses
	b.reporters.connects = append(b.reporters.connects, b.noteGuess)
}

// guesses tells whether a client is to be answered as if nobody had what it asks for.
func (b *Broker) guesses(client netip.Addr, q servicetable.Query) bool {
	return b.limiting.guesses.Withholds(client, func() (came time.Time, there bool) { return b.cameFirst(q) }, q.Service, q.SID, q.Instance)
}

// cameFirst tells since when what a query asks for is there, and whether it is.
func (b *Broker) cameFirst(q servicetable.Query) (came time.Time, there bool) {
	candidates, err := b.table.Snapshot().Match(q)
	if err != nil {
		return time.Time{}, !unknownHere(err)
	}
	for i := range candidates {
		if at := candidates[i].Registration.RegisteredAt; i == 0 || at.Before(came) {
			came = at
		}
	}
	return came, true
}

func unknownHere(err error) bool {
	return isAny(err, servicetable.ErrUnknownService, servicetable.ErrUnknownSID, servicetable.ErrUnknownInstance)
}

// noteGuess notes what became of a connect, for the next one of its client.
func (b *Broker) noteGuess(r *relay.ConnectReport) {
	e := r.Explanation
	if r.Way != "" || r.Withheld || e.Query.Service == "" && e.Query.SID == "" {
		return
	}
	client := r.Client.Addr()
	switch {
	case e.Outcome == journal.Relay, e.Outcome == journal.Redirect:
		b.limiting.guesses.Found(client, e.Query.Service, e.Query.SID, e.Query.Instance)
	case e.Outcome == journal.Refuse && len(e.Attempts) == 0:
		switch tns.Code(e.Code) {
		case tns.CodeUnknownService, tns.CodeUnknownSID, tns.CodeUnknownInstance:
			b.limiting.guesses.Missed(client, e.Query.Service, e.Query.SID, e.Query.Instance)
		}
	}
}

// sampleGuesses tells of those who guess.
func (s *sampler) sampleGuesses(out sink) {
	c := s.limiting.guesses.Counts()
	out.put("guessing_clients", float64(c.Now))
	out.put("guess_episodes_total", float64(c.Episodes))
	out.put("guesses_withheld_total", float64(c.Withheld))
}
