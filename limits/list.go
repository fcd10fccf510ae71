package limits

// list is a doubly linked list through links within its elements: adding and removing
// allocates nothing.
type list[T any] struct {
	first, last *link[T]
	n           int
}

type link[T any] struct {
	of         T
	prev, next *link[T]
	in         bool
}

func (l *list[T]) push(e *link[T]) {
	e.prev, e.next, e.in = l.last, nil, true
	if l.last != nil {
		l.last.next = e
	} else {
		l.first = e
	}
	l.last = e
	l.n++
}

// remove takes e out; one that is in no list stays so.
func (l *list[T]) remove(e *link[T]) {
	if !e.in {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.last = e.prev
	}
	e.prev, e.next, e.in = nil, nil, false
	l.n--
}

// renew moves e to the end.
func (l *list[T]) renew(e *link[T]) {
	l.remove(e)
	l.push(e)
}
