package console

import (
	"fmt"
	"time"
)

// Bounds of what the first page tells of other brokers; `broker peers` has all.
const (
	pagePeersMost     = 20
	pagePeerLinesMost = 3
)

// pagePeer is another broker as the page shows it.
type pagePeer struct {
	PeerView
	For, Table  string
	Tone        string // good, bad or "", of its state
	TableTone   string // likewise, of its table
	Lines       []string
	MoreOfThese int // lines beyond those
}

// pagePeers shows the other brokers, and not this one under another address. Those who have to do with some services alone see none.
func (v seen) pagePeers(now time.Time) (shown []pagePeer, share int) {
	if v.Server.Peers == nil || !v.by.whole() {
		return nil, 0
	}
	list := v.Server.Peers()
	for i := range list.Peers {
		if p := &list.Peers[i]; p.State != PeerSelf && p.State != PeerDuplicate && len(shown) < pagePeersMost {
			shown = append(shown, newPagePeer(p, now))
		}
	}
	return shown, list.Brokers
}

func newPagePeer(v *PeerView, now time.Time) pagePeer {
	p := pagePeer{PeerView: *v, For: span(now.Sub(v.Since)), Table: v.tableText(now), Lines: v.lines()}
	switch v.State {
	case PeerAlive:
		p.Tone = "good"
	case PeerAway:
		p.Tone = "bad"
	}
	if v.State == PeerAlive && v.Same {
		p.TableTone = "good"
	}
	if most := pagePeerLinesMost; len(p.Lines) > most {
		p.Lines, p.MoreOfThese = p.Lines[:most], len(p.Lines)-most
	}
	return p
}

// tableText tells in a few words how the table of a peer is beside this one's.
func (p *PeerView) tableText(now time.Time) string {
	switch {
	case p.State != PeerAlive:
		return "-"
	case p.DiffersSince != nil:
		return "differs for " + span(now.Sub(*p.DiffersSince))
	case !p.Same:
		return "not compared yet"
	}
	return "same"
}

func generationText(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
