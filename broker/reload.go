package broker

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"servicebroker/console"
	"servicebroker/relay"
)

// live are the parameters that a reload puts in force. What a file says of others waits
// for a restart.
var live = []string{
	"ATTEMPT_TIMEOUT", "ROUTE", "POLICY", "BROKERS", "SLOW_START", "ZONE", "PREFER_LEAST_LOADED_NODE", "SERVICE", "REGISTRANT", "REDIRECT_VERIFY",
	"HOLD_TIMEOUT", "HOLD_MEMORY", "HOLD_SHARE", "HOLD_RELEASE_RATE", "HOLD_DRY_RUN", "MAX_HELD",
	"IDLE_TIMEOUT", "SESSION_TIMEOUT", "OUTBOUND_CONNECT_TIMEOUT",
	"REGISTRATION_INVITED_NODES", "REGISTRATION_EXCLUDED_NODES", "REGISTRATION_TRANSPORTS", "VALID_NODE_CHECKING_REGISTRATION",
}

// Reload reads the configuration again and puts it in force as far as that is possible
// while the broker runs. A file with errors changes nothing.
func (b *Broker) Reload(context.Context) (console.ReloadResult, error) {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	old := b.settings().config
	result := console.ReloadResult{Config: old.File}
	if old.File == "" {
		return result, fmt.Errorf("the broker runs by its built-in defaults: start it with -c FILE to have something to reload")
	}
	c, messages := ReadConfig(old.File, old.Name)
	if err := messages.Err(); err != nil {
		return result, err
	}
	for _, m := range messages {
		result.Messages = append(result.Messages, console.ConfigMessage{
			File: m.File, Line: m.Line, Column: m.Column, Severity: string(m.Severity), Text: m.Text,
		})
	}
	if err := b.registrar.SetAdmission(&c.Admission); err != nil {
		return result, err
	}
	result.Changed = changed(old, c)
	result.NeedsRestart = waiting(&b.config, c)
	b.apply(c)
	b.rejudge()
	b.log.Info("configuration reloaded", "file", c.File, "changed", result.Changed, "needs_restart", result.NeedsRestart)
	return result, nil
}

// changed names what a new configuration changes at once.
func changed(old, c *Config) []string {
	var names []string
	for _, name := range live {
		if old.Given[name].Value != c.Given[name].Value {
			names = append(names, name)
		}
	}
	if !slices.Equal(ruleTexts(old), ruleTexts(c)) {
		names = append(names, "RULE_LIST")
	}
	sort.Strings(names)
	return names
}

// waiting names what a configuration says otherwise than the one the broker was started
// with, and what is in force only after a restart.
func waiting(started, c *Config) []string {
	var names []string
	for _, p := range Parameters() {
		if !slices.Contains(live, p.Name) && started.Given[p.Name].Value != c.Given[p.Name].Value {
			names = append(names, p.Name)
		}
	}
	if !slices.Equal(started.Addresses, c.Addresses) {
		names = append(names, "ADDRESS")
	}
	sort.Strings(names)
	return names
}

// ruleTexts tells one list of rules from another.
func ruleTexts(c *Config) []string {
	var texts []string
	for _, list := range []relay.Rules{c.Rules, c.AdminRules} {
		for i := range list {
			texts = append(texts, list[i].Group+list[i].Text+strings.Join(list[i].Services, ",")+strings.Join(list[i].DNs, ","))
		}
		texts = append(texts, "")
	}
	return texts
}

// parametersInForce lists all parameters with their values.
func (b *Broker) parametersInForce() []console.Parameter {
	all := Parameters()
	views := make([]console.Parameter, len(all))
	for i, p := range all {
		views[i] = console.Parameter{Name: p.Name, Value: p.Default, Default: p.Default, Meaning: p.Meaning}
		given := b.config.Given // as it was started
		if slices.Contains(live, p.Name) {
			given = b.settings().config.Given
		}
		if g, set := given[p.Name]; set {
			views[i].Value, views[i].Set, views[i].Where = g.Value, true, g.Where
		}
	}
	return views
}

// closeSession ends one session.
func (b *Broker) closeSession(id uint64) error {
	n := b.relay.EndSessions(func(s *relay.SessionInfo) bool { return s.ID == id }, "an operator ended it")
	if n == 0 {
		return fmt.Errorf("%w: session %d", console.ErrNotFound, id)
	}
	return nil
}
