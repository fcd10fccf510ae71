package relay

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/tns"
)

// Whatever is left open is filled in, and nothing else, whatever there is.
func TestTreatmentIsFilledIn(t *testing.T) {
	given := Treatment{
		Mode: ModeRelay, Policy: "random", AttemptTimeout: 1, HoldTimeout: 2, HoldSet: true, IdleTimeout: TimeoutOf(3),
		SessionTimeout: TimeoutOf(0), DialTimeout: TimeoutOf(5), Rate: 6, MaxSessions: 7, Bandwidth: 8,
	}
	other := Treatment{
		Mode: ModeRedirect, Policy: "sessions", AttemptTimeout: 11, HoldTimeout: 12, HoldSet: true, IdleTimeout: TimeoutOf(13),
		SessionTimeout: TimeoutOf(14), DialTimeout: TimeoutOf(15), Rate: 16, MaxSessions: 17, Bandwidth: 18,
	}
	for name, c := range map[string][3]Treatment{
		"nothing given":    {{}, other, other},
		"everything given": {given, other, given},
		"nothing else":     {given, {}, given},
	} {
		if got := c[0].Or(c[1]); got != c[2] {
			t.Errorf("%s: %+v, want %+v", name, got, c[2])
		}
	}
	for i := range reflect.TypeFor[Treatment]().NumField() { // so that a new field is not forgotten above
		if reflect.ValueOf(given).Field(i).IsZero() || reflect.ValueOf(other).Field(i).IsZero() {
			t.Errorf("%s is not tried", reflect.TypeFor[Treatment]().Field(i).Name)
		}
	}
}

// Sessions end by the limits of the rule that let them in, else by those for all.
func TestSessionLimitsByRule(t *testing.T) {
	for name, c := range map[string]struct {
		rule, all Treatment
		want      time.Duration
	}{
		"idle by rule":            {Treatment{IdleTimeout: TimeoutOf(time.Minute)}, Treatment{}, time.Minute},
		"idle by all":             {Treatment{}, Treatment{IdleTimeout: TimeoutOf(2 * time.Minute)}, 2 * time.Minute},
		"the rule goes before":    {Treatment{IdleTimeout: TimeoutOf(3 * time.Minute)}, Treatment{IdleTimeout: TimeoutOf(time.Minute)}, 3 * time.Minute},
		"off by rule":             {Treatment{IdleTimeout: TimeoutOf(0)}, Treatment{IdleTimeout: TimeoutOf(time.Minute), SessionTimeout: TimeoutOf(time.Hour)}, time.Hour},
		"so long after its begin": {Treatment{SessionTimeout: TimeoutOf(time.Hour)}, Treatment{}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.instance("s1", accepts, "sales")
				rule := everyone(Accept, "(RULE=1)")
				rule.Treatment = c.rule
				w.Rules = inForce(everyone(Log, "(RULE=0)"), rule)
				w.Treatment = func(string) Treatment { return c.all }
				client := w.client(sales)
				if _, ok := w.reply(client).(*tns.Accept); !ok {
					t.Fatal("no ACCEPT")
				}
				began := time.Now()
				if _, err := client.NetConn().Read(make([]byte, 1)); err == nil {
					t.Error("something came")
				}
				if lasted := time.Since(began); lasted < c.want || lasted > c.want+time.Second {
					t.Errorf("the session lasted %v, want %v", lasted, c.want)
				}
			})
		})
	}
}

// All attempts together end by the limit of the rule.
func TestDialLimitByRule(t *testing.T) {
	silent := func(conn *tns.Conn, _ *tns.Connect) { _, _ = conn.NetConn().Read(make([]byte, 1)) }
	for name, c := range map[string]struct {
		rule, all Timeout
		want      time.Duration
	}{
		"by rule":              {TimeoutOf(7 * time.Second), TimeoutOf(time.Minute), 7 * time.Second},
		"by all":               {Timeout{}, TimeoutOf(9 * time.Second), 9 * time.Second},
		"off by rule":          {TimeoutOf(0), TimeoutOf(time.Second), 2 * 20 * time.Second},
		"longer than attempts": {TimeoutOf(time.Hour), TimeoutOf(time.Second), 2 * 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.instance("s1", silent, "sales")
				w.instance("s2", silent, "sales")
				rule := everyone(Accept, "(RULE=1)")
				rule.Treatment = Treatment{DialTimeout: c.rule, AttemptTimeout: 20 * time.Second}
				w.Rules = inForce(rule)
				w.Treatment = func(string) Treatment { return Treatment{DialTimeout: c.all} }
				began := time.Now()
				w.wantCode(sales, tns.CodeTimeout)
				if took := time.Since(began); took != c.want {
					t.Errorf("answered after %v, want %v", took, c.want)
				}
			})
		})
	}
}
