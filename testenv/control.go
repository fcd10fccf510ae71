package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

// State is what GET /state tells.
type State struct {
	Instance  string            `json:"instance"`
	Address   string            `json:"address"`
	Services  []string          `json:"services"`
	Status    string            `json:"status"`
	NodeLoad  uint32            `json:"node_load"`
	Load      uint32            `json:"load"` // without the open sessions
	Max       uint32            `json:"max"`
	Goodness  map[string]uint32 `json:"goodness"`
	Listener  string            `json:"listener"`
	Connected bool              `json:"connected"` // registers with its brokers
	Brokers   []string          `json:"brokers"`
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
	d.mu.Lock()
	defer d.mu.Unlock()
	return State{
		Instance: d.Instance, Address: d.Addr(), Services: append([]string{}, d.services...), Status: strings.ToLower(d.status.String()),
		NodeLoad: d.NodeLoad, Load: d.Load, Max: d.Max, Goodness: maps.Clone(d.goodness), Listener: d.answer.mode,
		Connected: d.connected, Brokers: append([]string{}, d.RemoteListeners...), Sessions: sessions,
	}
}

// serveControl starts the control API and returns what stops it.
func (d *Database) serveControl(background *sync.WaitGroup) (stop func()) {
	if d.control == nil {
		return func() {}
	}
	server := &http.Server{Handler: d.controlHandler(), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	background.Go(func() { _ = server.Serve(d.control) })
	return func() { _ = server.Close() }
}

func (d *Database) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, d.State()) })
	for path, do := range map[string]func(*json.Decoder) error{
		"/status": d.setStatus, "/load": d.setLoad, "/services": d.setServices, "/listener": d.setListener,
		"/registration": d.setRegistration, "/sessions/kill": d.killSessions, "/stop": d.stop,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
			decoder.DisallowUnknownFields()
			if err := do(decoder); err != nil {
				writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error(), "hint": "GET /state shows what there is"})
				return
			}
			writeJSON(w, http.StatusOK, d.State())
		})
	}
	return mux
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (d *Database) setStatus(body *json.Decoder) error {
	var b struct{ Status string }
	if err := body.Decode(&b); err != nil {
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
	return fmt.Errorf("status %q: use ready, blocked or restricted", b.Status)
}

func (d *Database) setLoad(body *json.Decoder) error {
	var b struct {
		NodeLoad *uint32 `json:"node_load"`
		Load     *uint32
		Goodness map[string]uint32
	}
	if err := body.Decode(&b); err != nil {
		return err
	}
	d.mu.Lock()
	if b.NodeLoad != nil {
		d.NodeLoad = *b.NodeLoad
	}
	if b.Load != nil {
		d.Load = *b.Load
	}
	maps.Copy(d.goodness, b.Goodness)
	d.mu.Unlock()
	d.changed()
	return nil
}

func (d *Database) setServices(body *json.Decoder) error {
	var b struct{ Add, Drop []string }
	if err := body.Decode(&b); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	left := slices.Clone(d.services)
	for _, name := range b.Drop {
		i := slices.Index(left, name)
		if i < 0 {
			return fmt.Errorf("service %q is not there to be dropped", name)
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, name := range b.Add {
		if name == "" || slices.Contains(left, name) {
			return fmt.Errorf("service %q cannot be added: it is empty or there already", name)
		}
		left = append(left, name)
	}
	d.services = left
	d.changed()
	return nil
}

func (d *Database) setListener(body *json.Decoder) error {
	var b struct {
		Mode string
		Code int
		To   string
	}
	if err := body.Decode(&b); err != nil {
		return err
	}
	a := answer{mode: b.Mode, code: tns.Code(b.Code), to: b.To}
	switch b.Mode {
	case modeAccept, modeHang, modeReset:
	case modeRefuse:
		if b.Code == 0 {
			a.code = tns.CodeUnknownService
		}
	case modeRedirect:
		if _, _, err := net.SplitHostPort(b.To); err != nil {
			return fmt.Errorf("to %q: use host:port", b.To)
		}
	default:
		return fmt.Errorf("mode %q: use accept, refuse, hang, reset or redirect", b.Mode)
	}
	d.mu.Lock()
	d.answer = a
	d.mu.Unlock()
	return nil
}

func (d *Database) setRegistration(body *json.Decoder) error {
	var b struct{ Connected *bool }
	if err := body.Decode(&b); err != nil {
		return err
	}
	if b.Connected == nil {
		return errors.New("connected is missing: use true or false")
	}
	d.setConnected(*b.Connected)
	return nil
}

func (d *Database) killSessions(body *json.Decoder) error {
	var b struct {
		All bool
		ID  int
	}
	if err := body.Decode(&b); err != nil {
		return err
	}
	if !b.All {
		if !d.sql.Kill(b.ID) {
			return fmt.Errorf("there is no session %d", b.ID)
		}
		return nil
	}
	for _, s := range d.sql.Sessions() {
		d.sql.Kill(s.SessionID)
	}
	return nil
}

func (d *Database) stop(body *json.Decoder) error {
	var b struct{ Abort bool }
	if err := body.Decode(&b); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	select {
	case d.stopped <- b.Abort:
	default:
	}
	return nil
}
