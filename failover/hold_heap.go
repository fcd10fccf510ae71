package failover

// ranking orders the members of a heap and says where each keeps its position there.
type ranking[T comparable] interface {
	before(a, b T) bool
	// position is the member's index plus 1; 0 while it is in no heap.
	position(T) *int32
}

// ranked is a heap whose members can be taken out of the middle: all that changes it takes time in the logarithm of
// its length. A member is in at most one heap of a ranking at a time.
type ranked[T comparable, R ranking[T]] struct {
	items []T
	by    R
}

func (r *ranked[T, R]) len() int { return len(r.items) }

// first returns the member before all others, the zero T if there is none.
func (r *ranked[T, R]) first() T {
	if len(r.items) == 0 {
		var none T
		return none
	}
	return r.items[0]
}

func (r *ranked[T, R]) push(v T) {
	r.items = append(r.items, v)
	r.up(len(r.items) - 1)
}

// remove takes v out, if it is in this heap.
func (r *ranked[T, R]) remove(v T) {
	at := r.by.position(v)
	i := int(*at) - 1
	if i < 0 || i >= len(r.items) || r.items[i] != v {
		return
	}
	*at = 0
	last := len(r.items) - 1
	moved := r.items[last]
	var none T
	r.items[last] = none // so that what has left can be collected
	r.items = r.items[:last]
	if last == 0 {
		r.items = nil
	}
	if i == last {
		return
	}
	r.items[i] = moved
	if !r.down(i) {
		r.up(i)
	}
}

// reorder restores the order after members have changed their rank.
func (r *ranked[T, R]) reorder() {
	for i := len(r.items) - 1; i >= 0; i-- {
		r.down(i)
	}
}

// up moves the member at i towards the front as far as it belongs.
func (r *ranked[T, R]) up(i int) {
	v := r.items[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !r.by.before(v, r.items[parent]) {
			break
		}
		r.put(i, r.items[parent])
		i = parent
	}
	r.put(i, v)
}

// down moves the member at i towards the end as far as it belongs, and reports whether it moved.
func (r *ranked[T, R]) down(i int) bool {
	v, from := r.items[i], i
	for {
		child := 2*i + 1
		if child >= len(r.items) {
			break
		}
		if other := child + 1; other < len(r.items) && r.by.before(r.items[other], r.items[child]) {
			child = other
		}
		if !r.by.before(r.items[child], v) {
			break
		}
		r.put(i, r.items[child])
		i = child
	}
	r.put(i, v)
	return i != from
}

func (r *ranked[T, R]) put(i int, v T) {
	r.items[i] = v
	*r.by.position(v) = int32(i + 1)
}

// fifo is a queue: first in, first out.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) push(v T) {
	if f.head > len(f.items)/2 && len(f.items) == cap(f.items) { // take up the room that those who left have freed
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, v)
}

// pop takes the first one out; there must be one.
func (f *fifo[T]) pop() T {
	var none T
	v := f.items[f.head]
	f.items[f.head] = none
	if f.head++; f.head == len(f.items) {
		f.items, f.head = nil, 0
	}
	return v
}
