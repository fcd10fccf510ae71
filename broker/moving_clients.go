package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/relay"
	"servicebroker/tns"
)

// movedClientForm is the form of movedClient. What older processes can leave out is added without changing it.
const movedClientForm = 1

// Bounds of clients that move.
const (
	clientsAtOnce = 16        // on their way at a time
	mostRead      = 512 << 10 // bytes of one: a CONNECT with its data, or a PROXY header, in whatever pieces
)

// movedClient is a connection that has no answer yet, on its way from one process to another. Its socket is passed beside it.
type movedClient struct {
	Form    int            `json:"form"`
	Needs   []string       `json:"needs,omitempty"` // what whoever takes it has to know of besides
	Address string         `json:"address"`         // where it was accepted, as it is bound
	TLS     bool           `json:"tls"`             // what is spoken there
	Came    time.Time      `json:"came"`            // when it was accepted
	Client  netip.AddrPort `json:"client"`
	Behind  bool           `json:"behind,omitempty"` // a proxy has said that it is this client
	Turns   bool           `json:"turns,omitempty"`  // it has to wait for its turn under a rate
	Read    []byte         `json:"read,omitempty"`   // was read of it, and is to be read again
	Before  *relay.Before  `json:"before,omitempty"` // what was done for it since its CONNECT was there
}

// leaving are the clients that go to a successor.
type leaving struct {
	offer         atomic.Pointer[func(*movedClient, *os.File) error] // nil: there is none to go to
	moved, stayed atomic.Int64
}

// clientMover moves connections that have no answer yet. What begins to wait later goes by itself.
func (b *Broker) clientMover() mover {
	return mover{kind: "client", what: "clients that wait", move: b.moveClients, resume: b.resumeClient}
}

// moveClients offers all connections of which the first request is being read, and all clients that wait for a service. From now
// on each client is offered instead of being served.
func (b *Broker) moveClients(ctx context.Context, offer offerFunc) (moved, stayed int) {
	l := &b.departing
	l.moved.Store(0)
	l.stayed.Store(0)
	room := make(chan struct{}, clientsAtOnce)
	bounded := func(m *movedClient, socket *os.File) error {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		defer func() { <-room }()
		return offer(ctx, m, socket)
	}
	l.offer.Store(&bounded)
	var asked sync.WaitGroup
	for _, a := range b.open.reading() {
		a.reading.ask(&asked)
	}
	b.relay.Depart()
	asked.Wait() // each is offered as soon as its goroutine runs, or over
	return int(l.moved.Load()), int(l.stayed.Load())
}

// departUnheard offers a connection of which the first request was being read. If it is not taken it is read on here.
func (b *Broker) departUnheard(a *arrival) bool {
	if b.offerClient(a, a.before, a.unread) != nil {
		a.reading.goOn()
		return false
	}
	_ = a.raw.Close() // which says nothing to the client
	return true
}

// arrivalOf is what the relay has to know of a client. One whose TLS ends here stays: this process has the keys.
func (b *Broker) arrivalOf(a *arrival, overTLS bool) relay.Arrival {
	one := relay.Arrival{
		Turns: a.turns, Before: a.before, Carried: func() { b.becomesSession(a) },
		Part: func(conn *tns.Conn, limit time.Duration) { b.part(a, conn, limit) },
	}
	if !overTLS {
		one.Depart = func(before *relay.Before, read []byte) error { return b.offerClient(a, before, read) }
	}
	return one
}

// offerClient offers a client to the successor.
func (b *Broker) offerClient(a *arrival, before *relay.Before, read []byte) error {
	l := &b.departing
	offer := l.offer.Load()
	if offer == nil {
		return errors.New("there is no successor")
	}
	m := &movedClient{
		Form: movedClientForm, Address: b.listeners[a.at].Addr().String(), TLS: b.speaksTLS(a.at), Came: a.came, Client: a.client, Behind: a.behind,
		Turns: before == nil && len(a.turns) > 0, Read: read, Before: before,
	}
	file, err := beneath(a.raw)
	if err == nil {
		err = (*offer)(m, file)
		_ = file.Close()
	}
	if err != nil {
		l.stayed.Add(1)
		b.log.Debug("a client that waits does not move", "client", a.client.String(), "cause", err.Error())
		return err
	}
	l.moved.Add(1)
	b.log.Debug("a client that waits goes on in another process", "client", a.client.String())
	return nil
}

func (b *Broker) speaksTLS(at int) bool { return b.security.current.Load().listening[at].source != nil }

// check tells why this process cannot go on with it.
func (m *movedClient) check() error {
	switch {
	case m.Form != movedClientForm:
		return fmt.Errorf("a client in form %d, and this version knows %d", m.Form, movedClientForm)
	case len(m.Needs) > 0:
		return fmt.Errorf("a client that needs %.40q, of which this version knows nothing", m.Needs[0])
	case len(m.Read) > mostRead:
		return fmt.Errorf("%d bytes were read of a client, at most %d can be", len(m.Read), mostRead)
	case !m.Client.IsValid() || m.Came.IsZero():
		return errors.New("a client of which it is not said who it is, or since when")
	case m.Before != nil && (len(m.Before.Ref) > 64 || m.Before.Began.IsZero()):
		return fmt.Errorf("a client with the reference %.80q, of %v", m.Before.Ref, m.Before.Began)
	}
	return nil
}

// resumeClient goes on with a client that has no answer yet, as if it had come here.
func (b *Broker) resumeClient(ctx context.Context, text json.RawMessage, files []*os.File) (begin func(error), err error) {
	m := new(movedClient)
	err = json.Unmarshal(text, m)
	if err == nil {
		err = m.check()
	}
	at := slices.IndexFunc(b.listeners, func(l net.Listener) bool { return l.Addr().String() == m.Address })
	switch {
	case err != nil:
	case len(files) != 1:
		err = fmt.Errorf("a client with %d sockets", len(files))
	case at < 0 || b.speaksTLS(at) != m.TLS:
		err = fmt.Errorf("this process does not listen at %s, or speaks another protocol there", m.Address)
	}
	if err != nil {
		closeFiles(files)
		return nil, err
	}
	return b.takeIn(ctx, files, func() (*adopted, error) {
		defer closeFiles(files) // it gets one of its own
		raw, err := net.FileConn(files[0])
		if err != nil {
			return nil, err
		}
		if raw.RemoteAddr() == nil {
			_ = raw.Close()
			return nil, errors.New("the client is gone")
		}
		a := b.resumedArrival(m, at, raw)
		return &adopted{
			conn: raw, peer: m.Client.String(), phase: phaseReading,
			goOn: func() {
				b.open.read(a)
				b.serve(ctx, a)
			},
			giveBack: func() { _ = raw.Close() }, leave: func() { b.departs(a) },
		}, nil
	})
}

// resumedArrival is the arrival that m was, counted here.
func (b *Broker) resumedArrival(m *movedClient, at int, raw net.Conn) *arrival {
	b.thawed(raw)
	a := &arrival{
		raw: raw, at: at, came: m.Came, client: m.Client, behind: m.Behind, counted: true, unread: m.Read, before: m.Before, adopted: true,
		named: m.Behind || !isAmong(b.security.current.Load().listening[at].proxies, raw.RemoteAddr()),
	}
	b.limiting.connections.Force()
	if m.Turns {
		a.refusal = b.judgeRates(a)
	}
	if m.Before == nil {
		a.quiet = b.limiting.silent.Enter(a.client.Addr(), func() { _ = raw.Close() })
	}
	return a
}
