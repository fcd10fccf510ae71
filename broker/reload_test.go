package broker

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/loadbalance"
	"servicebroker/relay"
	"servicebroker/tns"
)

const reloaded = `T = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))
  (RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))(RULE=(SRC=*)(DST=*)(SRV=cmon)(ACT=accept)))
  (PARAMETER_LIST=%))`

func (r *running) rewrite(file, parameters string) {
	r.t.Helper()
	if err := os.WriteFile(file, []byte(strings.Replace(reloaded, "%", parameters, 1)), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	file := write(t, strings.Replace(reloaded, "%", "(HOLD_TIMEOUT=0)(PROBE_INTERVAL=9)", 1))
	read, messages := ReadConfig(file, "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *Config) {
		state := c.StateDirectory
		*c = *read
		c.StateDirectory, c.ConsoleAddress = state, "127.0.0.1:0"
	})
	r.join("a", "sales")
	conn, _ := r.session("sales")

	r.rewrite(file, "(HOLD_TIMEOUT=0)(POLICY=nonsense)")
	if _, err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a bad file: %v", err)
	}
	r.session("sales")

	r.rewrite(file, "(HOLD_TIMEOUT=0)(POLICY=sessions)(ROUTE=redirect)(PROBE_INTERVAL=8)(NOSUCH=1)")
	result, err := r.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(result.Changed, []string{"POLICY", "ROUTE"}) || !slices.Equal(result.NeedsRestart, []string{"PROBE_INTERVAL"}) || !slices.ContainsFunc(result.Messages, func(m console.ConfigMessage) bool { return strings.Contains(m.Text, "NOSUCH") }) {
		t.Errorf("result %+v", result)
	}
	if again, err := r.Reload(t.Context()); err != nil || len(again.Changed) != 0 || !slices.Equal(again.NeedsRestart, []string{"PROBE_INTERVAL"}) {
		t.Errorf("once more: %+v, %v", again, err)
	}
	for _, p := range r.parametersInForce() {
		if p.Name == "PROBE_INTERVAL" && p.Value != "9" || p.Name == "POLICY" && p.Value != "sessions" {
			t.Errorf("in force: %+v", p)
		}
	}
	if _, reply := r.ask(sales); !isRedirect(reply) {
		t.Errorf("answer %T: ROUTE=redirect is not in force", reply)
	}
	if got := r.settings().treatment("sales").Policy; got != "sessions" {
		t.Errorf("policy %s", got)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("the reload touched a session: %v", err)
	}

	if err := os.WriteFile(file, []byte(strings.Replace(strings.Replace(reloaded, "%", "(HOLD_TIMEOUT=0)", 1), "accept", "reject", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if result, err = r.Reload(t.Context()); err != nil || !slices.Contains(result.Changed, "RULE_LIST") {
		t.Errorf("%+v, %v", result, err)
	}
	r.wantCode(sales, tns.CodeRuleRejects)
}

func isRedirect(m tns.Message) bool { _, ok := m.(*tns.Redirect); return ok }

func TestReloadOfDefaultsSaysWhatToDo(t *testing.T) {
	r := start(t, nil)
	if _, err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "-c FILE") {
		t.Errorf("%v", err)
	}
}

func TestBalanceParameters(t *testing.T) {
	c, messages := ReadConfig(write(t, strings.Replace(reloaded, "%", `(POLICY=goodness)(BROKERS=3)(SLOW_START=0)(ZONE=a)(PREFER_LEAST_LOADED_NODE=OFF)
		(HEDGE=200ms)(PROBE_INTERVAL=2)(PROBE_TIMEOUT=500ms)(REDIRECT_VERIFY=off)(STALE_TIMEOUT=2min)(MOVE_WINDOW=30)
		(HOLD_TIMEOUT=45)(HOLD_MEMORY=10min)(HOLD_SHARE=0.25)(HOLD_CLIENT_SHARE=0.1)(HOLD_RELEASE_RATE=50)(HOLD_DRY_RUN=on)(MAX_HELD=7)
		(SERVICE=(NAME=sales*)(POLICY=sessions)(ROUTE=redirect)(HOLD_TIMEOUT=0)(TIERS=a,b;c))(SERVICE=(NAME=*)(ATTEMPT_TIMEOUT=9))
		(REGISTRANT=(NAME=prod)(SRC=10.1.0.0/16,db1)(SERVICES=(sales*,hr))(HANDLERS=10.1.0.0/16)(TIER=2)(ZONE=z))`, 1)), "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	if c.Policy != loadbalance.Goodness || c.Brokers != 3 || c.SlowStart != 0 || c.Zone != "a" || c.PreferLeastLoadedNode || c.HedgeLearnt || c.Hedge != 200*time.Millisecond {
		t.Errorf("balance: %+v", c)
	}
	if c.ProbeInterval != 2*time.Second || c.ProbeTimeout != 500*time.Millisecond || c.RedirectVerify || c.StaleTimeout != 2*time.Minute || c.MoveWindow != 30*time.Second {
		t.Errorf("probes: %+v", c)
	}
	if c.HoldTimeout != 45*time.Second || c.HoldMemory != 10*time.Minute || c.HoldShare != 0.25 || c.HoldClientShare != 0.1 || c.HoldRate != 50 || !c.HoldDryRun || c.MaxHeld != 7 {
		t.Errorf("hold: %+v", c)
	}
	s := newSettings(c, nil, nil)
	if got := s.treatment("SALES.world"); got.Mode != relay.ModeRedirect || got.Policy != "sessions" || !got.HoldSet || got.HoldTimeout != 0 || got.AttemptTimeout != 3*time.Second {
		t.Errorf("sales: %+v", got)
	}
	if got := s.treatment("hr"); got.Mode != relay.ModeRelay || got.Policy != "goodness" || got.HoldTimeout != 45*time.Second || got.AttemptTimeout != 9*time.Second {
		t.Errorf("hr: %+v", got)
	}
	if c.longestAttempt() != 9*time.Second {
		t.Errorf("longest attempt %v", c.longestAttempt())
	}
	if g := c.Registrants; len(g) != 1 || g[0].Name != "prod" || len(g[0].Sources) != 2 || len(g[0].Services) != 2 || g[0].Tier != 2 || g[0].Zone != "z" {
		t.Errorf("registrants: %+v", g)
	}
	if g := c.Given["SERVICE"]; !strings.Contains(g.Value, "sales*") || !strings.Contains(g.Value, "ATTEMPT_TIMEOUT") || !strings.HasSuffix(g.Where, ":6") {
		t.Errorf("given: %+v", g)
	}
}

func TestBadBalanceParameters(t *testing.T) {
	for text, want := range map[string]string{
		"(POLICY=leastconn)":                          "sessions",
		"(BROKERS=0)":                                 "1 to 1000",
		"(HEDGE=soon)":                                "not a time",
		"(REDIRECT_VERIFY=maybe)":                     "on, off",
		"(HOLD_SHARE=2)":                              "0.5",
		"(HOLD_CLIENT_SHARE=0)":                       "0.5",
		"(HOLD_RELEASE_RATE=0)":                       "500",
		"(SERVICE=(POLICY=random))":                   "NAME",
		"(SERVICE=(NAME=a)(POLICE=random))":           "did you mean POLICY",
		"(SERVICE=(NAME=a)(ATTEMPT_TIMEOUT=0))":       "0 gives no instance any time",
		"(SERVICE=(NAME=a)(TIERS=;;))":                "TIERS",
		"(REGISTRANT=(NAME=p)(SOURCE=10.0.0.1))":      "did you mean SRC",
		"(REGISTRANT=(NAME=p)(SRC=10.0.0.1)(TIER=x))": "TIER",
		"(REGISTRANT=(SRC=10.0.0.1)(SERVICES=a))":     "NAME",
	} {
		_, messages := ReadConfig(write(t, strings.Replace(reloaded, "%", text, 1)), "")
		if err := messages.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to tell of %q", text, err, want)
		}
	}
}
