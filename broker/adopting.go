package broker

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
)

// adopting is about connections that come from another process.
type adopting struct {
	sync.Mutex
	over bool // no more of them: the last connection is waited for
}

func (a *adopting) end() {
	a.Lock()
	defer a.Unlock()
	a.over = true
}

// errNotMoving is why a broker that ends takes nothing over.
var errNotMoving = errors.New("this broker is about to end itself")

// adopted is a connection from another process, which is that one's until it lets go.
type adopted struct {
	conn     net.Conn
	peer     string // who is at the other end; the socket may not know any more
	phase    phase
	goOn     func() // until it is over
	giveBack func() // instead
	leave    func() // after either; may be nil
}

// takeIn takes a connection over, and has it attended by a goroutine that is waited for. begin tells that whether the other
// process has let go. After an error of take the files are take's affair.
func (b *Broker) takeIn(ctx context.Context, files []*os.File, take func() (*adopted, error)) (begin func(error), err error) {
	b.adopting.Lock()
	defer b.adopting.Unlock()
	if b.adopting.over {
		closeFiles(files)
		return nil, errNotMoving
	}
	one, err := take()
	if err != nil {
		return nil, err
	}
	b.open.enter(one.conn, one.phase)
	released := make(chan error, 1)
	b.connections.Go(func() {
		defer b.open.leave(one.conn)
		if one.leave != nil {
			defer one.leave()
		}
		var kept error
		select {
		case kept = <-released:
		case <-ctx.Done(): // neither is going to last
			kept = context.Cause(ctx)
		}
		if kept != nil {
			b.log.Debug("upgrade: given back", "peer", one.peer, "cause", kept.Error())
			one.giveBack()
			return
		}
		one.goOn()
	})
	return func(kept error) { released <- kept }, nil
}
