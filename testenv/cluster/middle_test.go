package cluster

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

// A hold takes a while, and so does not come with every upgrade.
const eachHeld = 3

// inTheMiddle has clients wait for the upgrade in the middle of their connects. What it returns sees them served.
func (r *upgradeRig) inTheMiddle(ctx context.Context, i int) (served func()) {
	silent, half := r.begin(ctx, 0), r.begin(ctx, 20)
	held := make(chan error, 1)
	if i%eachHeld == 0 {
		r.hold(ctx, held)
	}
	listen := r.streams.listenLate(ctx, r.b)
	answered, usable := r.streams.speakLast(ctx, r.b), r.interrupt(ctx, i)
	return func() {
		r.note("who had said their last", i, answered())
		r.note("who read late", i, listen())
		r.note("who had said nothing", i, silent.finish())
		r.note("with half a CONNECT", i, half.finish())
		if i%eachHeld == 0 {
			must(r, r.databases[2].Tell(ctx, "/services", stage.ServicesSetting{Add: []string{"late"}}))
			r.note("who was held", i, <-held)
		}
		for _, err := range usable() {
			r.note(cutShort, i, err)
		}
	}
}

const cutShort = "who cut a statement short"

func (r *upgradeRig) note(how string, upgrade int, err error) {
	n := r.middle[how]
	if n == nil {
		n = &tally{}
		r.middle[how] = n
	}
	n.all++
	if err == nil && how != cutShort { // which are no connects
		r.connectsMade++
	}
	if err != nil {
		n.failed = append(n.failed, fmt.Sprintf("upgrade %d: %v", upgrade, err))
	}
}

// interrupt has every driver begin a statement that it cuts short, before the upgrade, during or after it. What it returns
// waits for that and looks whether the session is usable.
func (r *upgradeRig) interrupt(ctx context.Context, i int) (usable func() []error) {
	cut := drivers.Step{Do: drivers.Interrupt, On: "s", SQL: "begin dbms_session.sleep(60); end;", By: drivers.ByCancel, AfterMS: 20 + 50*(i%8)}
	errs := make([]error, len(r.breakers))
	var all sync.WaitGroup
	for n, b := range r.breakers {
		all.Go(func() {
			began := time.Now()
			done := b.talk.Do(ctx, cut)
			if took := time.Since(began); took > patience/2 || !strings.Contains(done.Error, "01013") && !strings.Contains(done.Error, "deadline exceeded") {
				errs[n] = fmt.Errorf("%s, after %v: %q", b.driver, took, done.Error)
				return
			}
			if done := b.talk.Do(ctx, drivers.Step{Do: drivers.Query, On: "s", SQL: drivers.WhereAmI}); done.Error != "" {
				errs[n] = fmt.Errorf("%s, after it cut a statement short: %s", b.driver, done.Error)
			}
		})
	}
	return func() []error {
		all.Wait()
		return errs
	}
}

// hold has a client wait for a service that has gone.
func (r *upgradeRig) hold(ctx context.Context, held chan<- error) {
	must(r, r.databases[2].Tell(ctx, "/services", stage.ServicesSetting{Drop: []string{"late"}}))
	must(r, stage.Eventually(ctx, func() error {
		if status, _, err := r.b.Get("/api/v1/services/late"); err != nil || status == 200 {
			return fmt.Errorf("late is still there: %w", err)
		}
		return nil
	}))
	r.running.Go(func() {
		v := visitor{descriptor: descriptor(r.b.Address, "late")}
		defer v.close()
		err := v.connect(ctx, r.b.Address)
		if err == nil {
			err = v.ask()
		}
		held <- err
	})
	must(r, stage.Eventually(ctx, func() error {
		var list struct {
			Held []any `json:"held"`
		}
		err := r.b.GetJSON("/api/v1/held", &list)
		if err == nil && len(list.Held) == 0 {
			err = fmt.Errorf("nobody is held")
		}
		return err
	}))
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
