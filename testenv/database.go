// Package testenv is a test database that real Oracle drivers can use: its own
// local listener, its SQL sessions over SQLite, its registration with brokers,
// and a control address by which a test breaks it on purpose.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/sqlengine"
	"servicebroker/testenv/ttcserver"
	"servicebroker/ttc"
)

// Database is one test database. Fill in the fields, call Listen, then Run once.
type Database struct {
	Address         string   // host:port to listen on; port 0 chooses one
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
	Log             *slog.Logger

	engine    *sqlengine.Engine
	sql       *ttcserver.Server
	verifiers map[string]ttc.Verifier
	listener  net.Listener
	control   net.Listener
	refresh   chan struct{}
	stopped   chan bool // a stop asked for over control: abort or not
	clients   sync.WaitGroup

	mu        sync.Mutex
	services  []string
	status    servicetable.Status
	goodness  map[string]uint32
	answer    answer // of the local listener
	connected bool   // registers with brokers
	reconnect chan struct{}
	open      map[net.Conn]struct{}
	sessions  uint32 // open connections that became SQL conversations
}

const (
	defaultMax      = 150
	nodeMax         = 5120
	reportEvery     = 10 * time.Second
	stopPatience    = 10 * time.Second
	connectPatience = time.Minute // for a client's CONNECT
)

// Listen opens the data and binds the addresses.
func (d *Database) Listen() (err error) {
	if d.Instance == "" || len(d.Services) == 0 {
		return errors.New("a test database needs an instance name and at least one service: use --instance and --service")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
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
	if d.listener, err = net.Listen("tcp", d.Address); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if d.Control != "" {
		if d.control, err = net.Listen("tcp", d.Control); err != nil {
			_ = d.listener.Close()
			return fmt.Errorf("--control: %w", err)
		}
	}
	d.services = append([]string(nil), d.Services...)
	d.goodness, d.open = map[string]uint32{}, map[net.Conn]struct{}{}
	d.refresh, d.stopped, d.reconnect = make(chan struct{}, 1), make(chan bool, 1), make(chan struct{}, 1)
	d.answer, d.connected = answer{mode: modeAccept}, !d.Unregistered
	d.sql = d.sqlServer()
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

// Run serves until ctx ends or control stops it.
func (d *Database) Run(ctx context.Context) error {
	serving, end := context.WithCancel(context.Background())
	defer end()
	var background sync.WaitGroup
	background.Go(func() { d.accept(serving) })
	background.Go(func() { d.register(serving) })
	stopControl := d.serveControl(&background)

	abort := true
	select {
	case <-ctx.Done():
	case abort = <-d.stopped:
	}
	_ = d.listener.Close()
	d.setConnected(false)
	if !abort {
		d.awaitSessions()
	}
	end()
	d.closeClients()
	d.clients.Wait()
	_ = d.sql.Close()
	stopControl()
	background.Wait()
	return d.engine.Close()
}

// awaitSessions waits a while for sessions to end by themselves.
func (d *Database) awaitSessions() {
	ended := make(chan struct{})
	go func() { d.clients.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(stopPatience):
		d.closeClients()
		<-ended
	}
}

func (d *Database) closeClients() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.open {
		_ = c.Close()
	}
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
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if wanted {
				d.agent().run(turn, d.Log)
			}
		}()
		select {
		case <-d.reconnect:
		case <-ctx.Done():
		}
		cancel()
		<-ended
	}
}

type agent struct{ *registration.Agent }

func (a agent) run(ctx context.Context, log *slog.Logger) {
	if err := a.Run(ctx); err != nil {
		log.Error("cannot register", "cause", err.Error())
	}
}

func (d *Database) agent() agent {
	return agent{&registration.Agent{
		Brokers: d.RemoteListeners, Describe: d.describe, Interval: reportEvery, Retry: d.Retry,
		Refresh: d.refresh, AsDatabase: true, Log: d.Log,
	}}
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
	d.connected = connected
	d.mu.Unlock()
	select {
	case d.reconnect <- struct{}{}:
	default:
	}
}
