package servicetable

// handlerState is all that Match needs to know of a handler, in one byte. The lower two bits are its Kind.
type handlerState uint8

const (
	stateKind      handlerState = 0x03
	stateForwards  handlerState = 0x04 // leads to another instance
	stateFull      handlerState = 0x08 // at its maximum load
	stateEjected   handlerState = 0x10 // by a mark: for want of anything else only
	stateMarked    handlerState = 0x20 // by a mark: takes no connects
	stateNoAddress handlerState = 0x40 // nobody can be sent there
	stateHeld      handlerState = 0x80 // by a mark of kind Holding: takes no connects until released

	stateMarks = stateEjected | stateMarked | stateHeld

	// What keeps a handler from being used, and what would if nothing were held.
	stateUnusable = stateMarked | stateNoAddress | stateHeld
	stateUnfit    = stateMarked | stateNoAddress
)

func (s handlerState) kind() Kind { return Kind(s & stateKind) }

// rank orders usable handlers by how willingly they are used: 0 is ready, then those that forward, then full ones, then full ones
// that forward; then the same of ejected ones.
func (s handlerState) rank() uint8 { return uint8(s&(stateForwards|stateFull|stateEjected)) >> 2 }

const rankEjected = 4 // the first rank that is used only where nothing else is left

// newHandlerState sums up a handler of r and the marks on it and on its instance.
func newHandlerState(r *Registration, h *Handler, marks handlerState) handlerState {
	s := handlerState(h.Kind)&stateKind | marks
	if h.Port == 0 || h.Kind > Pooled {
		s |= stateNoAddress
	}
	if h.Blocked() {
		s |= stateFull
	}
	if r.Forwards(h) {
		s |= stateForwards
	}
	return s
}

// serviceState is a service's Status at an instance in the lower three bits, and what the marks on it do in the bits that
// handlerState has for that.
type serviceState uint8

func newServiceState(status Status, marks []Mark) serviceState {
	return serviceState(status) | serviceState(marksState(marks))
}

func (s serviceState) status() Status { return Status(s &^ serviceState(stateMarks)) }

// closed reports whether the instance takes connects for the service from privileged clients only, or from nobody.
func (s serviceState) closed() bool {
	return uint8(s.status()-Blocked) <= uint8(Restricted-Blocked)
}

// marks returns what the marks on the service do to each of its handlers.
func (s serviceState) marks() handlerState { return handlerState(s) & stateMarks }

// marksState returns what marks together do to a handler.
func marksState(list []Mark) handlerState {
	var s handlerState
	for i := range list {
		switch list[i].Kind {
		case Ejected:
			s |= stateEjected
		case Holding:
			s |= stateHeld
		default:
			s |= stateMarked
		}
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
