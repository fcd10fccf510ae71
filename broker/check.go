package broker

import (
	"cmp"
	"slices"

	"servicebroker/console"
)

// Check is ReadConfig that also looks for the files which the configuration names.
func Check(file, instance string) (*Config, Messages) {
	c, messages := ReadConfig(file, instance)
	if c != nil {
		messages = append(messages, c.checkFiles()...)
		messages.sort(c.Files)
		if messages.Err() != nil {
			c = nil
		}
	}
	return c, messages
}

// Difference is what a configuration would change of a running broker.
type Difference struct {
	Now     []ParameterChange `json:"now"`     // put in force by a reload
	Restart []ParameterChange `json:"restart"` // put in force by an upgrade or a restart
	Out     []RuleChange      `json:"rules_out"`
	In      []RuleChange      `json:"rules_in"`
}

// ParameterChange is one parameter that has another value.
type ParameterChange struct {
	Name  string `json:"name"`
	From  string `json:"from"` // "" for none
	To    string `json:"to"`
	Where string `json:"where"` // FILE:LINE that sets the new value; "" where it is the default
}

// RuleChange is a rule that is there on one side alone.
type RuleChange struct {
	Number int    `json:"number"` // counted from 1, where it is, rules about administration after those about clients
	Text   string `json:"text"`   // with what the rule has of its group
	Where  string `json:"where"`
}

// Empty tells whether nothing would change.
func (d *Difference) Empty() bool { return len(d.Now)+len(d.Restart)+len(d.Out)+len(d.In) == 0 }

// DifferenceTo compares the configuration with what a running broker says of itself.
func (c *Config) DifferenceTo(parameters console.ParameterList, rules console.RuleList) Difference {
	d := Difference{Now: []ParameterChange{}, Restart: []ParameterChange{}}
	index := newParameterIndex()
	running := map[string]console.Parameter{}
	names := map[string]bool{"ADDRESS": true}
	for _, p := range parameters.Parameters {
		running[p.Name] = p
		names[p.Name] = true
	}
	for name := range c.Given {
		names[name] = true
	}
	for name := range names {
		p := index.find(name)
		if p == nil || !p.acts() {
			continue
		}
		change := ParameterChange{Name: name, From: running[name].Value, To: c.valueOf(p, name), Where: c.Given[name].Where}
		if _, told := running[name]; !told {
			change.From = p.Default
		}
		switch {
		case change.From == change.To || p.means(change.From, change.To):
		case p.Live:
			d.Now = append(d.Now, change)
		default:
			d.Restart = append(d.Restart, change)
		}
	}
	for _, list := range [][]ParameterChange{d.Now, d.Restart} {
		slices.SortFunc(list, func(a, b ParameterChange) int { return cmp.Compare(a.Name, b.Name) })
	}
	d.Out, d.In = ruleChanges(rules.Rules, c.ruleViews())
	return d
}

// Lines renders the difference for people, a change a line.
func (d *Difference) Lines() []string {
	if d.Empty() {
		return []string{"Nothing would change."}
	}
	var lines []string
	section := func(title string, changes []ParameterChange) {
		if len(changes) > 0 {
			lines = append(lines, title)
		}
		for _, c := range changes {
			line := "  " + c.Name + ": " + cmp.Or(c.From, "none") + " → " + cmp.Or(c.To, "none")
			if c.Where != "" {
				line += " (" + c.Where + ")"
			}
			lines = append(lines, line)
		}
	}
	section("A reload puts in force:", d.Now)
	if len(d.Out)+len(d.In) > 0 {
		lines = append(lines, "A reload changes the rules:")
	}
	lines = append(lines, d.ruleLines()...)
	section("broker upgrade (or a restart) is needed for:", d.Restart)
	return lines
}
