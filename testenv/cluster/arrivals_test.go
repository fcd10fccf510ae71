package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"servicebroker/tns"
	"servicebroker/ttc"
)

// arrivals are clients that come at a steady rate, whatever becomes of those before. Each connects, has the instance
// answer one message, and goes: what costs little, so that many can come.
type arrivals struct {
	address, descriptor string

	stop    chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	took   times // until the answer to the CONNECT
	turn   times // from a message to the instance until its answer
	failed []string
	well   int // of all
}

// arrive has so many clients come in a second, until depart.
func arrive(ctx context.Context, address, connectData string, rate float64) *arrivals {
	a := &arrivals{address: address, stop: make(chan struct{}),
		descriptor: "(DESCRIPTION=" + addressText(address) + "(CONNECT_DATA=" + connectData + "(CID=(PROGRAM=arrivals))))"}
	a.running.Go(func() {
		began := time.Now()
		timer := time.NewTimer(0)
		defer timer.Stop()
		for n := 0; ; n++ { // those who are late come all the same
			timer.Reset(time.Until(began.Add(time.Duration(float64(n) / rate * float64(time.Second)))))
			select {
			case <-timer.C:
			case <-a.stop:
				return
			case <-ctx.Done():
				return
			}
			a.running.Go(func() { a.client(ctx) })
		}
	})
	return a
}

// depart waits until all who have come are gone.
func (a *arrivals) depart() {
	close(a.stop)
	a.running.Wait()
}

// result is how many came since it was asked last, how long they took, and what failed.
func (a *arrivals) result() (connects int, took, turn times, failed []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	took, turn, failed = a.took, a.turn, a.failed
	a.took, a.turn, a.failed = nil, nil, nil
	return len(took) + len(failed), took, turn, failed
}

func (a *arrivals) client(ctx context.Context) {
	began := time.Now()
	v := visitor{descriptor: a.descriptor}
	err := v.connect(ctx, a.address)
	accepted := time.Now()
	if err == nil {
		err = v.ask()
	}
	v.close()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.failed = append(a.failed, fmt.Sprintf("at %s, after %v, from %s: %v", began.Format("15:04:05.000"), time.Since(began).Round(time.Millisecond), v.from, err))
		return
	}
	a.well++
	a.took, a.turn = append(a.took, accepted.Sub(began)), append(a.turn, time.Since(accepted))
}

// visitor is one client that speaks for itself.
type visitor struct {
	descriptor string
	from       string // its address
	conn       *tns.Conn
}

func (v *visitor) connect(ctx context.Context, address string) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	v.from, v.conn = c.LocalAddr().String(), tns.NewConn(c)
	_ = c.SetDeadline(time.Now().Add(patience))
	return v.request()
}

// request sends the CONNECT and reads the answer to it.
func (v *visitor) request() error {
	if err := v.conn.Send(tns.NewConnect([]byte(v.descriptor))); err != nil {
		return err
	}
	return v.answered()
}

func (v *visitor) answered() error {
	reply, err := v.conn.ReadReply()
	switch r := reply.(type) {
	case *tns.Accept:
		v.conn.SetVersion(r.Version)
		return nil
	case *tns.Resend:
		return v.request()
	case *tns.Refuse:
		return fmt.Errorf("refused: %v %s", r.Code(), r.Text)
	case nil:
		return fmt.Errorf("no answer to the CONNECT: %w", err)
	}
	return fmt.Errorf("answered with %T", reply)
}

// ask has the instance say its protocol, as the first message of every driver does.
func (v *visitor) ask() error {
	if err := v.conn.Send(tns.Data{Payload: (&ttc.Protocol{Versions: []byte{6}, Driver: "arrivals"}).AppendTo(nil)}); err != nil {
		return err
	}
	p, err := v.conn.ReadPacket()
	if err != nil {
		return fmt.Errorf("accepted, and then no answer: %w", err)
	}
	var data tns.Data
	if err := data.Decode(p); err != nil || len(data.Payload) == 0 || data.Payload[0] != byte(ttc.MessageProtocol) {
		return errors.Join(errors.New("accepted, and then a wrong answer"), err)
	}
	return nil
}

func (v *visitor) close() {
	if v.conn != nil {
		_ = v.conn.NetConn().Close()
	}
}
