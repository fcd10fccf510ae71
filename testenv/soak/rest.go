package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"servicebroker/testenv/stage"
)

// rest waits until all is as it should be when nothing happens, and looks whether it is. It is called while the pool rests.
func (w *world) rest(ctx context.Context, p *pool) error {
	p.settle(ctx)
	limited, cancel := context.WithTimeoutCause(ctx, 2*patience, fmt.Errorf("not within %v of rest", 2*patience))
	defer cancel()
	for _, check := range []struct {
		name string
		is   func() error
	}{{"the table", w.truth}, {"sessions", func() error { return w.counts(p) }}, {"what brokers say of themselves", w.healthy}} {
		if err := stage.Eventually(limited, func() error { return slowly(limited, check.is()) }); err != nil && ctx.Err() == nil {
			w.record.fault(time.Now(), "at rest, %s: %v", check.name, err)
		}
	}
	for _, s := range w.sites {
		if err := s.look(w.record); err != nil && ctx.Err() == nil {
			w.record.fault(time.Now(), "%s: %v", s.name, err)
		}
	}
	return nil
}

// slowly keeps a question from being asked without pause.
func slowly(ctx context.Context, err error) error {
	if err != nil {
		pause(ctx, 300*time.Millisecond)
	}
	return err
}

// truth compares the tables of all brokers with what databases say they have registered.
func (w *world) truth() error {
	want := map[string]bool{}
	for _, d := range w.donors {
		var said struct {
			Services []string `json:"services"`
			Status   string   `json:"status"`
		}
		if err := d.State(&said); err != nil {
			return err
		}
		for _, s := range said.Services {
			want[s+" at "+d.Instance+" is "+strings.ToUpper(said.Status)] = true
		}
	}
	for _, s := range w.churn.now().Services {
		want[s.Name+" at "+steady+" is READY"] = true
	}
	var wrong error
	for _, s := range w.sites {
		list, err := s.Services()
		if err != nil {
			return err
		}
		have := map[string]bool{}
		for _, one := range list {
			line := one.Service + " at " + one.Name + " is " + one.Status
			if have[line] {
				wrong = errors.Join(wrong, fmt.Errorf("%s has twice: %s", s.name, line))
			}
			have[line] = true
		}
		wrong = errors.Join(wrong, differ(s.name, have, want))
	}
	return wrong
}

// differ is nil if two sets are the same.
func differ(who string, have, want map[string]bool) error {
	var wrong []string
	for line := range want {
		if !have[line] {
			wrong = append(wrong, "lacks "+line)
		}
	}
	for line := range have {
		if !want[line] {
			wrong = append(wrong, "has "+line)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("%s %s", who, strings.Join(wrong, ", "))
}

// counts compares the sessions that brokers and databases count with those there are.
func (w *world) counts(p *pool) error {
	open, carried := 0, 0
	for _, h := range p.hands {
		for _, m := range h.members {
			if m.open {
				open++
				if m.service != redirected {
					carried++
				}
			}
		}
	}
	atDatabases, atBrokers := 0, 0.0
	for _, d := range w.donors {
		var said struct {
			Sessions []struct{} `json:"sessions"`
		}
		if err := d.State(&said); err != nil {
			return err
		}
		atDatabases += len(said.Sessions)
	}
	for _, s := range w.sites {
		m, err := s.metrics()
		if err != nil {
			return err
		}
		counted, listed := m.sum("sessions_open{"), 0
		atBrokers += counted
		var list struct {
			Sessions []struct{} `json:"sessions"`
		}
		if err := s.GetJSON("/api/v1/sessions", &list); err != nil {
			return err
		}
		if listed = len(list.Sessions); float64(listed) != counted {
			return fmt.Errorf("%s counts %.0f open sessions and lists %d", s.name, counted, listed)
		}
		if clients := m.sum(`connections_open{phase="client"}`); clients != counted {
			return fmt.Errorf("%s counts %.0f connections of clients and %.0f sessions", s.name, clients, counted)
		}
		if known := m.sum(`connections_open{phase="registration"}`); int(known) != len(w.donors)+1 {
			return fmt.Errorf("%s counts %.0f connections of databases, there are %d", s.name, known, len(w.donors)+1)
		}
	}
	if atDatabases != open || int(atBrokers) != carried {
		return fmt.Errorf("%d long sessions are open, databases have %d; %d of them by relay, brokers count %.0f", open, atDatabases, carried, atBrokers)
	}
	return nil
}

// healthy looks whether brokers find that all is well.
func (w *world) healthy() error {
	for _, s := range w.sites {
		m, err := s.metrics()
		if err != nil {
			return err
		}
		for name, want := range map[string]float64{`mirror_lag_versions{`: 0, `mirror_failures{`: 0, `peer_table_differs{`: 0, `peer_up{`: 1,
			`generations_alive`: 1, `config_last_reload_successful`: 1, `held_connects`: 0, `intents{`: 0, `stored_instances`: 0} {
			if got := m.sum(name); got != want {
				return fmt.Errorf("%s says %s is %v, not %v", s.name, strings.TrimSuffix(name, "{"), got, want)
			}
		}
	}
	return nil
}

// metrics are what a broker says of itself, by name and labels.
type metrics map[string]float64

func (s *site) metrics() (metrics, error) {
	status, text, err := s.Get("/metrics")
	if err == nil && status != 200 {
		err = fmt.Errorf("GET /metrics: %d", status)
	}
	all := metrics{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); err == nil && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		if name != lines.Text() {
			name += "}"
		} else {
			name, value, _ = strings.Cut(name, " ")
		}
		if number, wrong := strconv.ParseFloat(value, 64); wrong == nil {
			all[strings.TrimPrefix(name, "servicebroker_")] = number
		}
	}
	return all, err
}

// sum adds up those whose names begin with something.
func (m metrics) sum(prefix string) (sum float64) {
	for name := range maps.Keys(m) {
		if strings.HasPrefix(name, prefix) {
			sum += m[name]
		}
	}
	return sum
}

// footprint is what a broker occupies at rest.
type footprint struct {
	at                    time.Time
	process               int
	kb, files, goroutines int
	sessions              int
}

// Leaks: by how much more a broker may occupy than when it was first at rest, with as many sessions.
const (
	moreFiles      = 40
	moreGoroutines = 60 + 64 // which wait for a next connect
	moreKB         = 48 << 10
)

// look notes what a broker occupies, and complains if that has grown.
func (s *site) look(r *record) error {
	id, err := s.Lineage().Newest()
	if err != nil {
		return err
	}
	m, err := s.metrics()
	if err != nil {
		return err
	}
	f := footprint{at: time.Now(), process: id, goroutines: int(m.sum("goroutines")), sessions: int(m.sum("sessions_open{"))}
	f.kb, err = stage.ResidentKB(id)
	files, wrong := stage.OpenFiles(id)
	if f.files = files; errors.Is(wrong, fs.ErrPermission) { // a broker does not let its own user look, but root; 0 is shown
		wrong = nil
	}
	if err := errors.Join(err, wrong); err != nil {
		return err
	}
	if len(s.prints) == 0 {
		s.first = f
	}
	s.prints = append(s.prints, f)
	line := fmt.Sprintf("at rest %s (%d): %d kB, %d descriptors, %d goroutines, %d sessions", s.name, id, f.kb, f.files, f.goroutines, f.sessions)
	r.say("%s", line)
	if first := s.first; f.files > first.files+moreFiles || f.goroutines > first.goroutines+moreGoroutines || f.kb > first.kb*3/2+moreKB {
		return fmt.Errorf("it has grown: at first it had %d kB, %d descriptors, %d goroutines", first.kb, first.files, first.goroutines)
	}
	return nil
}

// slopes are what a broker grew by in an hour, by all looks at it; "" if there are too few.
func (s *site) slopes() string {
	const few = 4
	if len(s.prints) < few {
		return fmt.Sprintf("%s was looked at %d times, too few for slopes", s.name, len(s.prints))
	}
	slope := func(of func(footprint) int) float64 {
		var n, x, y, xx, xy float64
		for _, f := range s.prints[1:] { // the first one has not worked yet
			hours, v := f.at.Sub(s.first.at).Hours(), float64(of(f))
			n, x, y, xx, xy = n+1, x+hours, y+v, xx+hours*hours, xy+hours*v
		}
		return (n*xy - x*y) / (n*xx - x*x)
	}
	return fmt.Sprintf("%s grew in an hour by %.0f kB, %.1f descriptors, %.1f goroutines, by %d looks", s.name,
		slope(func(f footprint) int { return f.kb }), slope(func(f footprint) int { return f.files }), slope(func(f footprint) int { return f.goroutines }), len(s.prints))
}
