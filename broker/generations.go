package broker

import (
	"os"

	"servicebroker/console"
)

// Generations lists this process and those before and after it that live, the newest last.
func (b *Broker) Generations() []console.Generation {
	count := b.open.count()
	own := console.Generation{
		Number: b.generation(), PID: os.Getpid(), Version: Version, Started: b.started, State: console.GenerationServing,
		Sessions: b.relaySessions(), Clients: count["client"] + count["reading"], Registrations: count["registration"],
	}
	var all []console.Generation
	if p := b.process.Before; p != nil && !p.hasEnded() {
		all = append(all, p.generation())
	}
	h := b.upgrade.heir.Load()
	if h == nil {
		if b.leaving.Load() || b.stopping.Load() {
			own.State = console.GenerationEnding
		}
		all = append(all, own)
		if s := b.upgrade.starting.Load(); s != nil {
			all = append(all, *s)
		}
		return all
	}
	own.State = console.GenerationMoving
	select {
	case <-h.moved:
		left := b.leftNow(h).generation()
		own.State, own.Until = left.State, left.Until
	default:
	}
	return append(all, own, console.Generation{Number: h.number, PID: h.process.PID(), Version: h.hello.Version, Started: h.began, State: console.GenerationServing})
}

func (p *Predecessor) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// generation shows what the predecessor told last.
func (p *Predecessor) generation() console.Generation {
	g := console.Generation{State: console.GenerationMoving}
	if l := p.left.Load(); l != nil {
		g = l.generation()
	}
	g.Number, g.PID, g.Version = p.hello.Generation, p.hello.PID, p.hello.Version
	if p.hello.Started != nil {
		g.Started = *p.hello.Started
	}
	return g
}

// alive counts the generations that live.
func (b *Broker) alive() int { return len(b.Generations()) }

// sampleGenerations tells which generation this is.
func (s *sampler) sampleGenerations(out sink) {
	out.put("generation", float64(s.generation()))
	out.put("generations_alive", float64(s.alive()))
	out.put("upgrades_total", float64(s.upgrade.done.Load()+s.before()), "done")
	out.put("upgrades_total", float64(s.upgrade.failed.Load()), "failed")
}

// before counts the upgrades that led to this generation.
func (b *Broker) before() uint64 { return uint64(b.generation() - 1) }
