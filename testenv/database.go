// Package testenv is a test database that real Oracle drivers can use: its own
// local listener, its SQL sessions over SQLite, its registration with brokers,
// and a control address by which a test breaks it on purpose.
package testenv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"servicebroker/certs"
	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/sqlengine"
	"servicebroker/testenv/ttcserver"
	"servicebroker/ttc"
)

// Database is one test database. Fill in the fields, call Listen, then Run once.
type Database struct {
	Address         string   // host:port to listen on; port 0 chooses one, as does an empty Address on loopback
	Control         string   // host:port of the control API; empty: none
	Instance        string   // instance name, which is its SID too
	Services        []string // first services; control adds and drops more
	Advertise       string   // host:port clients are sent to; empty: the listening address
	Host            string   // machine's name in the registration; empty: the system's
	RemoteListeners []string // brokers to register with, host:port
	Unregistered    bool     // do not register
	RegisterDelay   time.Duration
	Retry           time.Duration     // between attempts to reach a broker; 0: 3 s
	Users           map[string]string // passwords by user name in upper case; nil: SCOTT/tiger
	Verifier11g     bool              // 11g password verifiers instead of 12c
	Data            string            // file of the data; empty: in memory
	Private         bool              // every session has its own data
	NodeLoad        uint32
	Load            uint32 // added to the number of open sessions
	Max             uint32 // sessions it can take (PROCESSES); 0: 150

	// TLS, if set, makes its local listener one with PROTOCOL=tcps, whose certificate it is.
	// So often as Restarts says it asks for a new TLS handshake before it accepts a client,
	// as listeners do that hand the socket to another process.
	TLS      *certs.Source
	Restarts int
	// BrokerTLS, if set, is how it registers with brokers over TCPS.
	BrokerTLS *certs.Outbound

	ConnectPatience time.Duration // for a client to send its CONNECT; 0: a minute
	StopPatience    time.Duration // for sessions to end by themselves after a stop; 0: 10 s

	Log *slog.Logger

	engine    *sqlengine.Engine
	sql       *ttcserver.Server
	verifiers map[string]ttc.Verifier
	listener  net.Listener
	control   net.Listener
	refresh   chan struct{}
	drained   chan struct{} // gets a value when it is told to stop once its sessions are over
	aborted   chan struct{} // gets a value when it is told to stop at once
	clients   sync.WaitGroup
	sockets   sockets

	mu        sync.Mutex
	services  []string
	status    servicetable.Status
	goodness  map[string]uint32
	answer    answer // of the local listener
	connected bool   // registers with brokers
	reconnect chan struct{}
	sessions  uint32 // open connections that became SQL conversations
}

const (
	defaultMax      = 150
	nodeMax         = 5120
	reportEvery     = 10 * time.Second
	stopPatience    = 10 * time.Second
	connectPatience = time.Minute // for a client's CONNECT
)

// ErrAborted is what Run ends with when it was told to abort.
var ErrAborted = errors.New("aborted, as told over the control address")

// Listen checks the fields, opens the data and binds the addresses. It leaves
// nothing open if it fails; if it does not, Run has to follow.
func (d *Database) Listen() (err error) {
	if err := d.check(); err != nil {
		return err
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.TLS != nil {
		if err := d.TLS.Load(); err != nil {
			return err
		}
	}
	if d.BrokerTLS != nil && d.BrokerTLS.Source != nil {
		if err := d.BrokerTLS.Source.Load(); err != nil {
			return err
		}
	}
	if d.Max == 0 {
		d.Max = defaultMax
	}
	if d.Host == "" {
		if d.Host, err = os.Hostname(); err != nil {
			return fmt.Errorf("the machine's name: %w: use --host", err)
		}
	}
	d.makeVerifiers()
	if d.engine, err = sqlengine.Open(d.Data); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if d.listener, err = net.Listen("tcp", cmp.Or(d.Address, "127.0.0.1:0")); err != nil {
		return errors.Join(fmt.Errorf("--listen: %w", err), d.engine.Close())
	}
	if d.Control != "" {
		if d.control, err = net.Listen("tcp", d.Control); err != nil {
			return errors.Join(fmt.Errorf("--control: %w", err), d.listener.Close(), d.engine.Close())
		}
	}
	d.services = append([]string(nil), d.Services...)
	d.goodness = map[string]uint32{}
	d.refresh, d.reconnect = make(chan struct{}, 1), make(chan struct{}, 1)
	d.drained, d.aborted = make(chan struct{}, 1), make(chan struct{}, 1)
	d.answer, d.connected = answer{mode: modeAccept, replaced: make(chan struct{})}, !d.Unregistered
	d.sql = d.sqlServer()
	return nil
}

// check refuses fields that nothing could be done with.
func (d *Database) check() error {
	if d.Instance == "" || len(d.Services) == 0 {
		return errors.New("a test database needs an instance name and at least one service: use --instance and --service")
	}
	if _, err := changeServices(nil, d.Services, nil); err != nil {
		return err
	}
	for _, name := range []string{d.Instance, d.Host} {
		if err := checkName(name); name != "" && err != nil {
			return err
		}
	}
	for _, address := range append([]string{d.Advertise}, d.RemoteListeners...) {
		if _, err := parseEndpoint(address); address != "" && err != nil {
			return err
		}
	}
	return nil
}

func (d *Database) makeVerifiers() {
	users := d.Users
	if len(users) == 0 {
		users = map[string]string{"SCOTT": "tiger"}
	}
	d.verifiers = map[string]ttc.Verifier{}
	for name, password := range users {
		v := ttc.NewVerifier12c(password)
		if d.Verifier11g {
			v = ttc.NewVerifier11g(password)
		}
		d.verifiers[strings.ToUpper(name)] = v
	}
}

func (d *Database) sqlServer() *ttcserver.Server {
	return &ttcserver.Server{
		Authenticate: func(user string) (ttc.Verifier, bool) {
			v, ok := d.verifiers[strings.ToUpper(user)]
			return v, ok
		},
		NewSession: func(_ context.Context, l ttcserver.Login) (*sqlengine.Session, error) {
			return d.engine.NewSession(sqlengine.Identity{
				User: l.User, ProxyUser: l.ProxyUser, Schema: l.Schema, Service: l.Service, Instance: d.Instance, SID: d.Instance,
				ServerHost: d.Host, ServerAddress: l.ServerAddress, ClientAddress: l.ClientAddress,
				Program: l.Program, Machine: l.Machine, OSUser: l.OSUser, Terminal: l.Terminal, SessionID: l.SessionID, Serial: l.Serial,
			}, d.Private)
		},
		Identity: ttcserver.Identity{Instance: d.Instance, Host: d.Host},
		Log:      d.Log,
	}
}

// Addr returns where it listens.
func (d *Database) Addr() string { return d.listener.Addr().String() }

// ControlAddr returns where the control API is; empty if there is none.
func (d *Database) ControlAddr() string {
	if d.control == nil {
		return ""
	}
	return d.control.Addr().String()
}

// Run serves until ctx ends or it is told over the control address to stop. It
// returns ErrAborted after an abort. Everything it started has ended when it
// returns.
func (d *Database) Run(ctx context.Context) error {
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	registered, unregister := context.WithCancel(serving)
	defer unregister()
	var registering, controlling sync.WaitGroup
	d.clients.Go(func() { d.accept(serving) })
	registering.Go(func() { d.register(registered) })
	stopControl := d.serveControl(&controlling)

	drain, abort := false, false
	select {
	case <-ctx.Done():
	case <-d.drained:
		drain = true
	case <-d.aborted:
		abort = true
	}
	if abort {
		d.sockets.cut() // brokers and clients see what they would if the process died
	}
	unregister() // before the listener goes, so that nobody is sent here any more
	registering.Wait()
	_ = d.listener.Close()
	if drain {
		abort = d.awaitSessions(ctx)
	}
	end()
	d.sockets.cut()
	d.clients.Wait()
	stopControl()
	controlling.Wait()
	err := errors.Join(d.sql.Close(), d.engine.Close())
	if abort {
		return errors.Join(ErrAborted, err)
	}
	return err
}

// awaitSessions waits a while for sessions to end by themselves, and reports
// whether that was cut short by an abort.
func (d *Database) awaitSessions(ctx context.Context) (abort bool) {
	ended := make(chan struct{})
	go func() { // ends once the sessions have, for which Run waits too
		defer close(ended)
		d.clients.Wait()
	}()
	patience := time.NewTimer(cmp.Or(d.StopPatience, stopPatience))
	defer patience.Stop()
	select {
	case <-ended:
	case <-patience.C:
	case <-ctx.Done():
	case <-d.aborted:
		return true
	}
	return false
}

// register keeps the database registered while it is meant to be.
func (d *Database) register(ctx context.Context) {
	if len(d.RemoteListeners) == 0 {
		return
	}
	select {
	case <-time.After(d.RegisterDelay):
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil {
		d.mu.Lock()
		wanted := d.connected
		d.mu.Unlock()
		turn, cancel := context.WithCancel(ctx)
		var agent sync.WaitGroup
		if wanted {
			agent.Go(func() { d.runAgent(turn) })
		}
		select {
		case <-d.reconnect:
		case <-ctx.Done():
		}
		cancel()
		agent.Wait()
	}
}

// runAgent is one spell of being registered.
func (d *Database) runAgent(ctx context.Context) {
	agent := &registration.Agent{
		Brokers: d.RemoteListeners, Describe: d.describe, Interval: reportEvery, Retry: d.Retry,
		Refresh: d.refresh, Dial: d.dialBroker, AsDatabase: true, Log: d.Log,
	}
	if err := agent.Run(ctx); err != nil {
		d.Log.Error("cannot register", "cause", err.Error())
	}
}

// changed has the next registration sent at once.
func (d *Database) changed() {
	select {
	case d.refresh <- struct{}{}:
	default:
	}
}

func (d *Database) setConnected(connected bool) {
	d.mu.Lock()
	same := d.connected == connected
	d.connected = connected
	d.mu.Unlock()
	if same {
		return
	}
	select {
	case d.reconnect <- struct{}{}:
	default:
	}
}
