package broker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/relay"
)

// errNoFile says that there is nothing to read.
var errNoFile = errors.New("the broker runs by its built-in defaults: start it with -c FILE to have something to reload")

// reload is Reload while b.reloading is held.
func (b *Broker) reload() (console.ReloadResult, error) {
	old := b.settings().config
	result := console.ReloadResult{Config: old.File}
	if old.File == "" {
		return result, errNoFile
	}
	read := contents{}
	c, messages := readConfig(old.File, old.Name, read.read)
	b.files.noteRead(read)
	if err := messages.Err(); err != nil {
		return result, err
	}
	c.read = read
	for _, m := range messages {
		result.Messages = append(result.Messages, console.ConfigMessage{
			File: m.File, Line: m.Line, Column: m.Column, Severity: string(m.Severity), Text: m.Text,
		})
	}
	secured, err := b.prepareTLS(c)
	if err == nil {
		err = cmp.Or(b.reloadREST(), preparePeers(c))
	}
	if err != nil {
		return result, err
	}
	if err := b.registrar.SetAdmission(&c.Admission); err != nil {
		return result, err
	}
	b.useTLS(secured)
	certificates, err := b.refreshCertificates()
	if err != nil {
		result.Messages = append(result.Messages, console.ConfigMessage{File: c.File, Line: 1, Column: 1, Severity: string(SeverityWarning), Text: err.Error()})
	}
	result.Changed = changed(old, c)
	if certificates {
		result.Changed = append(result.Changed, "certificates")
	}
	result.NeedsRestart = waiting(&b.config, c)
	b.apply(c)
	b.applyStatic(old, c)
	b.rejudge()
	b.log.Info("configuration reloaded", "file", c.File, "changed", result.Changed, "needs_restart", result.NeedsRestart)
	return result, nil
}

// changed names what a new configuration changes at once.
func changed(old, c *Config) []string {
	var names []string
	for _, p := range Parameters() {
		if p.acts() && p.Live && !p.same(old, c) {
			names = append(names, p.Name)
		}
	}
	if !slices.Equal(ruleTexts(old), ruleTexts(c)) {
		names = append(names, "RULE_LIST")
	}
	if !maps.EqualFunc(old.Aliases, c.Aliases, func(a, b *descriptor.Node) bool { return a.String() == b.String() }) {
		names = append(names, "tnsnames.ora")
	}
	sort.Strings(names)
	return names
}

// waiting names what a configuration says otherwise than the one the broker was started
// with, and what is in force only after an upgrade or a restart.
func waiting(started, c *Config) []string {
	var names []string
	for _, p := range Parameters() {
		if p.acts() && !p.Live && !p.same(started, c) {
			names = append(names, p.Name)
		}
	}
	sort.Strings(names)
	return names
}

// acts tells whether the parameter changes anything.
func (p *Parameter) acts() bool { return p.Kind != KindReplaced && !p.Pending }

// same tells whether two configurations come to the same in this parameter.
func (p *Parameter) same(a, b *Config) bool {
	was, is := a.valueOf(p, p.Name), b.valueOf(p, p.Name)
	return was == is || p.means(was, is)
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

// parametersInForce lists all parameters with their values, and those that have no effect if
// the file gives them.
func (b *Broker) parametersInForce() []console.Parameter {
	now := b.settings().config
	given := maps.Clone(now.Given)
	var views []console.Parameter
	for _, p := range Parameters() {
		c := &b.config // as it was started
		if p.Live {
			c = now
		}
		_, set := c.Given[p.Name]
		delete(given, p.Name)
		if set || p.Kind != KindReplaced && !strings.HasSuffix(p.Name, "*") {
			views = append(views, c.view(&p, p.Name))
		}
	}
	for name := range given { // of families
		if p := parameter(name); p != nil {
			views = append(views, now.view(p, name))
		}
	}
	slices.SortFunc(views, func(a, b console.Parameter) int { return strings.Compare(a.Name, b.Name) })
	return views
}

// view shows what a configuration makes of a parameter.
func (c *Config) view(p *Parameter, name string) console.Parameter {
	given, set := c.Given[name]
	v := console.Parameter{Name: name, Value: c.valueOf(p, name), Default: p.Default, Meaning: p.Meaning, Set: set, Where: given.Where}
	switch {
	case p.Kind == KindReplaced:
		v.Meaning = "no effect here: " + p.Meaning
	case p.Pending:
		v.Meaning += " (no effect in this version)"
	}
	return v
}

// valueOf is the value that a parameter has by this configuration.
func (c *Config) valueOf(p *Parameter, name string) string {
	if p.Name == "ADDRESS" {
		return addressTexts(c.Addresses)
	}
	if given, set := c.Given[name]; set && (given.Value != "" || p.Default == "") {
		return given.Value
	}
	return p.Default
}

// addressTexts are addresses as a file has them.
func addressTexts(all []descriptor.Address) string {
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = all[i].String()
	}
	return strings.Join(texts, " ")
}

// ruleViews are the rules, before any of them is in force.
func (c *Config) ruleViews() []console.RuleView {
	var views []console.RuleView
	for i := range c.Rules {
		views = append(views, ruleView(console.AboutClients, i, &c.Rules[i]))
	}
	for i := range c.AdminRules {
		views = append(views, ruleView(console.AboutAdministration, i, &c.AdminRules[i]))
	}
	return views
}

// closeSession ends one session.
func (b *Broker) closeSession(id uint64) error {
	if id == 0 || b.endSessions(endPassed{ID: id, Cause: "an operator ended it"}) == 0 {
		return fmt.Errorf("%w: session %d", console.ErrNotFound, id)
	}
	return nil
}
