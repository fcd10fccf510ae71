package limits

import (
	"sync"
	"time"
)

// maxRepeats bounds how many different things are told apart at a time.
const maxRepeats = 1024

// Repeats finds out what happens again and again, so that it is told once and then counted.
type Repeats struct {
	// Every is how long the same counts as told; 0 is 10 s.
	Every time.Duration
	// Told is told at the end of that time how often the same happened after the first; may
	// be nil. It is called from a goroutine of its own.
	Told func(key string, first any, more uint64)

	mu    sync.Mutex
	known map[string]*repeat
}

type repeat struct {
	first any    // of those that were told singly, the last one's
	told  uint64 // singly
	more  uint64
	over  *time.Timer
}

// othersKey stands for what there is no room to tell apart.
const othersKey = "others"

// Note notes that something happened. It reports false for the first time, for which make's
// result is kept, and returns that of the first time for those that follow.
func (r *Repeats) Note(key string, make func() any) (first any, again bool) {
	return r.NoteFrom(1, key, make)
}

// NoteFrom is Note for what is told singly so many times, before it counts as happening again
// and again: then it returns what make returned the last of those times.
func (r *Repeats) NoteFrom(many uint64, key string, make func() any) (last any, again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.known[key]
	if one == nil && len(r.known) >= maxRepeats {
		key = othersKey
		one = r.known[key]
	}
	if one != nil && one.told < many {
		one.told++
		one.first = make()
		return one.first, false
	}
	if one != nil {
		one.more++
		return one.first, true
	}
	if r.known == nil {
		r.known = map[string]*repeat{}
	}
	every := r.Every
	if every == 0 {
		every = 10 * time.Second
	}
	one = &repeat{first: make(), told: 1}
	one.over = time.AfterFunc(every, func() { r.end(key) })
	r.known[key] = one
	return one.first, false
}

func (r *Repeats) end(key string) {
	r.mu.Lock()
	one := r.known[key]
	delete(r.known, key)
	r.mu.Unlock()
	if one != nil && one.more > 0 && r.Told != nil {
		r.Told(key, one.first, one.more)
	}
}

// Flush tells at once what is left.
func (r *Repeats) Flush() {
	r.mu.Lock()
	known := r.known
	r.known = nil
	r.mu.Unlock()
	for key, one := range known {
		one.over.Stop()
		if one.more > 0 && r.Told != nil {
			r.Told(key, one.first, one.more)
		}
	}
}
