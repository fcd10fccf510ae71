package broker

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"servicebroker/console"
	"servicebroker/relay"
)

// live are the parameters that a reload puts in force. What a file says of others waits
// for a restart.
var live = []string{
	"ROUTE", "POLICY", "BROKERS", "SLOW_START", "ZONE", "PREFER_LEAST_LOADED_NODE", "SERVICE", "REGISTRANT", "REDIRECT_VERIFY",
	"HOLD_TIMEOUT", "HOLD_MEMORY", "HOLD_SHARE", "HOLD_RELEASE_RATE", "HOLD_DRY_RUN", "MAX_HELD",
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
	result.Changed, result.NeedsRestart = differences(old, c)
	b.apply(c)
	b.rejudge()
	b.log.Info("configuration reloaded", "file", c.File, "changed", result.Changed, "needs_restart", result.NeedsRestart)
	return result, nil
}

// differences names what a new configuration changes, and what it would only change
// after a restart.
func differences(old, c *Config) (changed, restart []string) {
	names := map[string]bool{}
	for _, given := range []map[string]Given{old.Given, c.Given} {
		for name := range given {
			names[name] = true
		}
	}
	for name := range names {
		switch {
		case old.Given[name].Value == c.Given[name].Value:
		case slices.Contains(live, name):
			changed = append(changed, name)
		default:
			restart = append(restart, name)
		}
	}
	if !slices.Equal(old.Addresses, c.Addresses) {
		restart = append(restart, "ADDRESS")
	}
	if !slices.Equal(ruleTexts(old), ruleTexts(c)) {
		changed = append(changed, "RULE_LIST")
	}
	sort.Strings(changed)
	sort.Strings(restart)
	return changed, restart
}

func ruleTexts(c *Config) []string {
	texts := make([]string, len(c.Rules))
	for i := range c.Rules {
		texts[i] = c.Rules[i].Text
	}
	return texts
}

// parametersInForce lists all parameters with their values.
func (b *Broker) parametersInForce() []console.Parameter {
	given := b.settings().config.Given
	all := Parameters()
	views := make([]console.Parameter, len(all))
	for i, p := range all {
		views[i] = console.Parameter{Name: p.Name, Value: p.Default, Default: p.Default, Meaning: p.Meaning}
		if g, set := given[p.Name]; set {
			views[i].Value, views[i].Set, views[i].Where = g.Value, true, g.Where
		}
	}
	return views
}

// rulesInForce lists the rules that are about clients.
func (b *Broker) rulesInForce() []console.RuleView {
	config := b.settings().config
	views := make([]console.RuleView, len(config.Rules))
	for i := range config.Rules {
		views[i] = console.RuleView{Name: strconv.Itoa(i + 1), Text: config.Rules[i].Text, Where: config.Rules[i].Where}
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
