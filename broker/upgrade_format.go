//go:build !nextformat && !onlynextformat

package broker

// Formats of what passes between generations that this version understands. A format says which kinds of records there are and
// in which order; what is added to one of them, or is an optional kind, needs no other format.
const (
	oldestFormat = 1
	newestFormat = 1
)

// nextParts and nextMovers are those that only a later version has.
func (b *Broker) nextParts() []part   { return nil }
func (b *Broker) nextMovers() []mover { return nil }
