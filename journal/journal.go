package journal

import "time"

// Journal keeps the newest events and explanations in memory. The zero value is ready; its fields must not change once
// it is in use. All methods may be called at any time from any goroutine, and none keeps another waiting longer
// than it takes to copy a few hundred entries.
type Journal struct {
	Now             func() time.Time // nil: time.Now
	MaxEvents       int              // 0: 100,000, about 25 MB when full
	MaxEventBytes   int              // text in all events together; 0: 32 MiB. More lets a flood of long ones push out fewer others
	MaxExplanations int              // 0: 10,000, 4 to 10 MB when full
	FirstID         uint64           // of the first event; 0: 1. A number above any used before lets followers go on after a restart

	// Added is told of each event once it is kept, by whoever added it; nil: nobody is. It must not wait.
	Added func(Event)

	refs refs

	events  ring[Event] // numbered by ID; its mu guards the next three
	wait    waiting
	bytes   int           // of text in events
	changed chan struct{} // nil while nobody waits

	kept   ring[packed]      // "" where a newer one of the same Ref took over; its mu guards the next two
	byRef  map[string]uint64 // number in kept
	packer packer
}

// Sizes tells how many events and explanations are kept.
func (j *Journal) Sizes() (events, explanations int) {
	return j.events.len(), j.kept.len()
}

func (j *Journal) now() time.Time {
	if j.Now != nil {
		return j.Now()
	}
	return time.Now()
}

// orElse returns n, or standard where n is not positive.
func orElse(n, standard int) int {
	if n > 0 {
		return n
	}
	return standard
}
