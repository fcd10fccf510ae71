package journal

import (
	"math"
	"sync"
)

// ring keeps the newest values, each under a number that counts up by one. It takes memory as it fills, in chunks, so
// that neither the first nor any later value waits for a large allocation. The owner locks mu around what does not.
type ring[T any] struct {
	mu     sync.Mutex
	chunks [][]T
	size   uint64
	first  uint64 // number of the oldest value
	next   uint64 // number of the next one
}

// chunkSize is small enough that a new chunk of events costs about as much as adding one.
const chunkSize = 64

// start gives an empty ring its size and the number of its first value.
func (r *ring[T]) start(size int, number uint64) {
	r.size = uint64(size)
	r.chunks = make([][]T, (size+chunkSize-1)/chunkSize)
	r.first, r.next = number, number
}

func (r *ring[T]) started() bool { return r.chunks != nil }

// len counts the values.
func (r *ring[T]) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(r.next - r.first)
}

func (r *ring[T]) full() bool { return r.next-r.first == r.size }

// at returns the place of the value of that number, which must be one of those kept or the next.
func (r *ring[T]) at(number uint64) *T {
	place := number % r.size
	chunk := &r.chunks[place/chunkSize]
	if *chunk == nil {
		*chunk = make([]T, chunkSize)
	}
	return &(*chunk)[place%chunkSize]
}

// drop takes the oldest value out. There must be one.
func (r *ring[T]) drop() T {
	var none T
	place := r.at(r.first)
	oldest := *place
	*place = none
	r.first++
	return oldest
}

// push adds a value, for which there must be room.
func (r *ring[T]) push(v T) {
	*r.at(r.next) = v
	r.next++
}

// batch is how many values are copied under one lock.
const batch = 256

// forward shows visit copies of the values from that number on, oldest first, until it returns false or there are no
// more of those that were there at the beginning.
func (r *ring[T]) forward(from uint64, visit func(*T) bool) {
	var some []T
	for end := uint64(0); ; {
		r.mu.Lock()
		if end == 0 {
			end = r.next
		}
		from = max(from, r.first)
		some = r.copyRange(some[:0], from, min(from+batch, end))
		r.mu.Unlock()
		if len(some) == 0 {
			return
		}
		for i := range some {
			if !visit(&some[i]) {
				return
			}
		}
		from += uint64(len(some))
	}
}

// backward shows visit copies of the values, newest first, until it returns false or there are no more.
func (r *ring[T]) backward(visit func(*T) bool) {
	var some []T
	for end := uint64(math.MaxUint64); ; {
		r.mu.Lock()
		end = min(end, r.next)
		from := max(end-min(end, batch), r.first)
		some = r.copyRange(some[:0], from, end)
		r.mu.Unlock()
		if len(some) == 0 {
			return
		}
		for i := len(some) - 1; i >= 0; i-- {
			if !visit(&some[i]) {
				return
			}
		}
		end = from
	}
}

func (r *ring[T]) copyRange(dst []T, from, end uint64) []T {
	for ; from < end; from++ {
		dst = append(dst, *r.at(from))
	}
	return dst
}
