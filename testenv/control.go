package testenv

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

// State is what GET /state tells.
type State struct {
	Instance  string            `json:"instance"`
	Host      string            `json:"host"`
	Address   string            `json:"address"`
	Services  []string          `json:"services"`
	Status    string            `json:"status"`
	NodeLoad  uint32            `json:"node_load"`
	Load      uint32            `json:"load"` // without the open sessions
	Open      uint32            `json:"open"` // connections that hold a place for a session
	Max       uint32            `json:"max"`
	Goodness  map[string]uint32 `json:"goodness"`
	Listener  string            `json:"listener"`                // mode
	Code      int               `json:"listener_code,omitempty"` // of mode refuse
	To        string            `json:"listener_to,omitempty"`   // of mode redirect
	Connected bool              `json:"connected"`               // registers with its brokers
	Brokers   []string          `json:"brokers"`
	Reached   []string          `json:"brokers_reached"`    // those it has a connection to
	Dialled   map[string]int    `json:"broker_connections"` // made to each since the start
	Sessions  []SessionState    `json:"sessions"`
}

// SessionState is one SQL session.
type SessionState struct {
	ID            int    `json:"id"`
	User          string `json:"user"`
	Client        string `json:"client"`
	Program       string `json:"program"`
	Service       string `json:"service"`
	InTransaction bool   `json:"in_transaction"`
	Statement     string `json:"statement"`
}

// State returns what the database is doing now.
func (d *Database) State() State {
	sessions := []SessionState{}
	for _, s := range d.sql.Sessions() {
		sessions = append(sessions, SessionState{ID: s.SessionID, User: s.User, Client: s.ClientAddress, Program: s.Program,
			Service: s.Service, InTransaction: s.InTransaction, Statement: s.Statement})
	}
	reached := []string{}
	connections, made := d.sockets.toBrokers()
	dialled := map[string]int{}
	for _, broker := range d.RemoteListeners {
		dialled[broker] = made[broker]
		if connections[broker] > 0 {
			reached = append(reached, broker)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	to := ""
	if d.answer.mode == modeRedirect {
		to = d.answer.to.HostPort()
	}
	return State{
		Instance: d.Instance, Host: d.Host, Address: d.Addr(), Services: append([]string{}, d.services...), Status: strings.ToLower(d.status.String()),
		NodeLoad: d.NodeLoad, Load: d.Load, Open: d.sessions, Max: d.Max, Goodness: maps.Clone(d.goodness),
		Listener: d.answer.mode, Code: int(d.answer.code), To: to,
		Connected: d.connected, Brokers: append([]string{}, d.RemoteListeners...), Reached: reached, Dialled: dialled, Sessions: sessions,
	}
}

// serveControl starts the control API and returns what stops it.
func (d *Database) serveControl(background *sync.WaitGroup) (stop func()) {
	if d.control == nil {
		return func() {}
	}
	server := &http.Server{Handler: d.controlHandler(), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	background.Go(func() { _ = server.Serve(d.control) })
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil { // the answer to a stop gets through
			_ = server.Close()
		}
	}
}

func (d *Database) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, d.State()) })
	for path, do := range map[string]func(body) error{
		"/status": d.setStatus, "/load": d.setLoad, "/services": d.setServices, "/listener": d.setListener,
		"/registration": d.setRegistration, "/sessions/kill": d.killSessions, "/stop": d.stop,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			sent, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
			if err == nil {
				err = do(sent)
			}
			if err != nil {
				refuseCommand(w, http.StatusBadRequest, err)
				return
			}
			d.Log.Info("told", "path", path, "body", string(sent))
			writeJSON(w, http.StatusOK, d.State())
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuseCommand(w, http.StatusNotFound, invalid(
			"GET /state, or POST /status, /load, /services, /listener, /registration, /sessions/kill, /stop",
			"there is no %s %s", r.Method, r.URL.Path))
	})
	return mux
}

// maxCode is the largest error number there can be.
const maxCode = 65535

// maxCommand bounds a command, in bytes.
const maxCommand = 1 << 20

// body is a command as it was sent.
type body []byte

// decode reads a body that is one JSON object with known fields only; an empty
// one is an object without fields.
func (b body) decode(command any) error {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(command)
	if err == nil && (b[0] != '{' || decoder.InputOffset() != int64(len(b))) {
		err = errors.New("it is not one JSON object")
	}
	if err != nil {
		return invalid("send one JSON object with the fields of this path only", "the command is not understood (%v)", err)
	}
	return nil
}

func refuseCommand(w http.ResponseWriter, status int, err error) {
	problem, remedy := err.Error(), "GET /state shows what there is"
	if wrong, ok := errors.AsType[*InvalidError](err); ok {
		problem, remedy = wrong.Problem, wrong.Remedy
	}
	writeJSON(w, status, map[string]string{"error": problem, "hint": remedy})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // who asked has gone, or reads it
}

func (d *Database) setStatus(sent body) error {
	var b struct{ Status string }
	if err := sent.decode(&b); err != nil {
		return err
	}
	for _, s := range []servicetable.Status{servicetable.Ready, servicetable.Blocked, servicetable.Restricted} {
		if strings.EqualFold(b.Status, s.String()) {
			d.mu.Lock()
			d.status = s
			d.mu.Unlock()
			d.changed()
			return nil
		}
	}
	return invalid("use ready, blocked or restricted", "there is no status %q", b.Status)
}

func (d *Database) setLoad(sent body) error {
	var b struct {
		NodeLoad *uint32 `json:"node_load"`
		Load     *uint32
		Goodness map[string]uint32
	}
	if err := sent.decode(&b); err != nil {
		return err
	}
	if b.NodeLoad == nil && b.Load == nil && len(b.Goodness) == 0 {
		return invalid("send node_load, load or goodness", "nothing of the load is to change")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range b.Goodness {
		if d.serviceCalled(name) == "" {
			return invalid("name one that there is", "there is no service %q whose goodness could change", name)
		}
	}
	for name, goodness := range b.Goodness {
		d.goodness[d.serviceCalled(name)] = goodness
	}
	if b.NodeLoad != nil {
		d.NodeLoad = *b.NodeLoad
	}
	if b.Load != nil {
		d.Load = *b.Load
	}
	d.changed()
	return nil
}

func (d *Database) setServices(sent body) error {
	var b struct{ Add, Drop []string }
	if err := sent.decode(&b); err != nil {
		return err
	}
	if len(b.Add)+len(b.Drop) == 0 {
		return invalid("list services to add or drop", "no service is to come or go")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	services, err := changeServices(d.services, b.Add, b.Drop)
	if err != nil {
		return err
	}
	d.services = services
	maps.DeleteFunc(d.goodness, func(name string, _ uint32) bool { return d.serviceCalled(name) == "" })
	d.changed()
	return nil
}

func (d *Database) setListener(sent body) error {
	var b struct {
		Mode string
		Code int
		To   string
	}
	if err := sent.decode(&b); err != nil {
		return err
	}
	a := answer{mode: b.Mode, replaced: make(chan struct{})}
	switch b.Mode {
	case modeAccept, modeHang, modeReset:
	case modeRefuse:
		a.code = cmp.Or(tns.Code(b.Code), tns.CodeUnknownService)
	case modeRedirect:
		to, err := parseEndpoint(b.To)
		if err != nil {
			return err
		}
		a.to = to
	default:
		return invalid("use accept, refuse, hang, reset or redirect", "there is no listener mode %q", b.Mode)
	}
	switch {
	case b.Code != 0 && b.Mode != modeRefuse:
		return invalid("leave the code out, or use mode refuse", "mode %s has no code", b.Mode)
	case b.Code < 0 || b.Code > maxCode:
		return invalid("use the number of an error, such as 12514", "%d is no code", b.Code)
	case b.To != "" && b.Mode != modeRedirect:
		return invalid("leave to out, or use mode redirect", "mode %s leads nowhere", b.Mode)
	}
	d.mu.Lock()
	close(d.answer.replaced)
	d.answer = a
	d.mu.Unlock()
	return nil
}

func (d *Database) setRegistration(sent body) error {
	var b struct{ Connected *bool }
	if err := sent.decode(&b); err != nil {
		return err
	}
	if b.Connected == nil {
		return invalid("use true or false", "connected is missing")
	}
	if *b.Connected && len(d.RemoteListeners) == 0 {
		return invalid("start it with --remote-listener", "there is no broker to register with")
	}
	d.setConnected(*b.Connected)
	return nil
}

func (d *Database) killSessions(sent body) error {
	var b struct {
		All bool
		ID  *int
	}
	if err := sent.decode(&b); err != nil {
		return err
	}
	if b.All == (b.ID != nil) {
		return invalid("send either all, as true, or the id of a session", "it is not clear which sessions are to end")
	}
	if !b.All {
		if !d.sql.Kill(*b.ID) {
			return invalid("GET /state lists those there are", "there is no session %d", *b.ID)
		}
		return nil
	}
	for _, s := range d.sql.Sessions() {
		d.sql.Kill(s.SessionID)
	}
	return nil
}

func (d *Database) stop(sent body) error {
	var b struct{ Abort bool }
	if err := sent.decode(&b); err != nil {
		return err
	}
	stopped := d.drained
	if b.Abort {
		stopped = d.aborted
	}
	select {
	case stopped <- struct{}{}:
	default: // it has been told already
	}
	return nil
}
