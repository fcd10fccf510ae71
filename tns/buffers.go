package tns

import "sync"

// buffers are what connections begin to read into, and write from.
var buffers = sync.Pool{New: func() any { return new([firstBuffer]byte) }}

// borrow returns one of them in place of the one that there is.
func (c *Conn) borrow() []byte {
	c.giveBack()
	c.lent = buffers.Get().(*[firstBuffer]byte)
	return c.lent[:]
}

func (c *Conn) giveBack() {
	if c.lent != nil {
		spoil(c.lent)
		buffers.Put(c.lent)
		c.lent = nil
	}
}

// Release gives back what has been read into, where nothing is in it any more. No packet's Body is valid then.
func (c *Conn) Release() { c.holdNothing() }

// holdNothing gives back a read buffer in which nothing is.
func (c *Conn) holdNothing() {
	if c.r == c.w {
		c.in, c.r, c.w = nil, 0, 0
		c.giveBack()
	}
}

// bigger returns a read buffer that is larger than the one that there is, for n bytes.
func (c *Conn) bigger(n int) []byte {
	if len(c.in) == 0 && n <= firstBuffer {
		return c.borrow()
	}
	return make([]byte, max(firstBuffer, min(2*len(c.in), n)))
}

// patient is a connection that can be read without waiting, and waited for without reading.
type patient interface {
	ReadNow(b []byte) (n int, there bool, err error)
	Wait() error
}

// watch is Watch of a connection that need not be read byte by byte to hold no buffer.
func (c *Conn) watch(of patient) error {
	for {
		c.makeRoom(c.w - c.r + 1)
		n, there, err := of.ReadNow(c.in[c.w:])
		c.w += n
		c.holdNothing()
		if there || err != nil {
			return err
		}
		if err := of.Wait(); err != nil {
			return err
		}
	}
}
