package servicetable

// handlerState is all that Match needs to know of a handler, in one byte. The lower two bits are its Kind.
type handlerState uint8

const (
	stateKind      handlerState = 0x03
	stateFull      handlerState = 0x04 // at its maximum load
	stateEjected   handlerState = 0x08 // by a mark: for want of anything else only
	stateMarked    handlerState = 0x10 // by a mark: takes no connects
	stateNoAddress handlerState = 0x20 // nobody can be sent there
)

func (s handlerState) kind() Kind { return Kind(s & stateKind) }

// usable reports whether the handler takes connects at all.
func (s handlerState) usable() bool { return s&(stateMarked|stateNoAddress) == 0 }

// rank orders usable handlers by how willingly they are used: 0 is ready, then full, then ejected, then both.
func (s handlerState) rank() uint8 { return uint8(s&(stateFull|stateEjected)) >> 2 }

const rankEjected = 2 // the first rank that is used only where nothing else is left

// newHandlerState sums up a handler and the marks on it and on its instance.
func newHandlerState(h *Handler, marks effect) handlerState {
	s := handlerState(h.Kind) & stateKind
	if h.Port == 0 || h.Kind > Pooled {
		s |= stateNoAddress
	}
	if h.Blocked() {
		s |= stateFull
	}
	switch marks {
	case excluded:
		s |= stateMarked
	case lastResort:
		s |= stateEjected
	}
	return s
}

// preference is the place of a kind in the order in which listeners prefer them, features.md 1.3.
func preference(k Kind) uint8 {
	switch k {
	case Dispatcher:
		return 0
	case Dedicated:
		return 1
	}
	return 2
}
