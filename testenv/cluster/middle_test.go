package cluster

import (
	"context"
	"fmt"
	"net"
	"time"

	"servicebroker/tns"
)

// inTheMiddle has clients wait for the upgrade in the middle of their connects. What it returns sees them served.
func (r *upgradeRig) inTheMiddle(ctx context.Context, i int) (served func()) {
	silent, half := r.begin(ctx, 0), r.begin(ctx, 20)
	return func() {
		r.note("who had said nothing", i, silent.finish())
		r.note("with half a CONNECT", i, half.finish())
	}
}

func (r *upgradeRig) note(how string, upgrade int, err error) {
	n := r.middle[how]
	if n == nil {
		n = &tally{}
		r.middle[how] = n
	}
	n.all++
	if err != nil {
		n.failed = append(n.failed, fmt.Sprintf("upgrade %d: %v", upgrade, err))
	}
}

// halfSent is a client that has sent a part of its CONNECT.
type halfSent struct {
	visitor
	rest []byte
}

func (r *upgradeRig) begin(ctx context.Context, bytes int) *halfSent {
	v := &halfSent{visitor: visitor{descriptor: r.visitors.descriptor}}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", r.b.Address)
	must(r, err)
	_ = c.SetDeadline(time.Now().Add(patience))
	v.conn = tns.NewConn(c)
	v.rest = tns.NewConnect([]byte(v.descriptor)).AppendTo(nil, false)
	_, err = c.Write(v.rest[:bytes])
	must(r, err)
	v.rest = v.rest[bytes:]
	return v
}

// finish sends what is left, has the instance answer, and goes.
func (v *halfSent) finish() error {
	defer v.close()
	if _, err := v.conn.NetConn().Write(v.rest); err != nil {
		return err
	}
	if err := v.answered(); err != nil {
		return err
	}
	return v.ask()
}
