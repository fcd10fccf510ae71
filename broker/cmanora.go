package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"servicebroker/descriptor"
)

// ReadConfig reads the configuration of an instance from a file in cman.ora
// syntax. instance may be empty: the one called CMAN_<hostname>, else the only
// one. The messages tell all that was found; if there is an error among them
// the Config is nil and Messages.Err says why.
func ReadConfig(file, instance string) (*Config, Messages) {
	read := contents{}
	c, messages := readConfig(file, instance, read.read)
	if c != nil {
		c.read = read
	}
	return c, messages
}

// readConfig is ReadConfig with another way to open files.
func readConfig(file, instance string, open func(path string) (string, error)) (*Config, Messages) {
	r := &reader{file: file, config: DefaultConfig(), known: newParameterIndex(), open: open, at: map[string]*descriptor.Node{}}
	r.config.File = file
	all := r.load(file, nil)
	if r.messages.Err() == nil {
		if chosen := r.choose(all, instance); chosen != nil {
			r.read(chosen, all)
			r.finish(chosen.Node)
		}
	}
	r.messages.sort(r.config.Files)
	if r.more {
		r.messages = append(r.messages, Message{File: file, Line: 1, Column: 1, Severity: SeverityNotice, Text: fmt.Sprintf("there is more to say than these %d messages: correct what they tell and check again", maxMessages)})
	}
	if r.messages.Err() != nil {
		return nil, r.messages
	}
	return r.config, r.messages
}

// reader collects a Config and what there is to say about its file.
type reader struct {
	file     string // that is being read
	config   *Config
	messages Messages
	failed   bool // there is an error among them
	more     bool // there was more to say
	known    *parameterIndex
	open     func(path string) (string, error)

	instances map[*assignment]bool
	at        map[string]*descriptor.Node // where each parameter was last set at this level
	parts     map[string][]string         // values of parameters that may be repeated
	listening []*descriptor.Node          // what each of the configuration's addresses is written as
	places    map[string]string           // FILE:LINE of addresses and static services, by what they are

	rules       []*ruleRead // in the order of the file
	lastRule    *ruleRead
	clientRules bool   // there is a rule about clients, right or wrong
	rulesAs     string // RULE_LIST or RULE_GROUP, whichever the file has
	oracle9i    bool   // the rules are those of an Oracle 9i, where x stands for anything
	rulesWrong  bool   // there is what was meant for rules, and is none
}

func (r *reader) say(n *descriptor.Node, severity Severity, format string, arguments ...any) {
	m := Message{File: r.file, Line: 1, Column: 1, Severity: severity, Text: fmt.Sprintf(format, arguments...)}
	if n != nil && n.Line > 0 {
		m.Line, m.Column = n.Line, n.Column
	}
	if len(r.messages) >= maxMessages && (severity != SeverityError || r.failed) {
		r.more = true
		return
	}
	r.failed = r.failed || severity == SeverityError
	r.messages = append(r.messages, m)
}

// maxMessages bounds what is said of one file.
const maxMessages = 1000

// fail says an error where it belongs.
func (r *reader) fail(n *descriptor.Node, format string, err error) {
	var inner *misplaced
	if errors.As(err, &inner) {
		n = inner.at
	}
	r.say(n, SeverityError, format, plain(err))
}

// read reads one instance, after what stands beside the instances of the file.
func (r *reader) read(chosen *assignment, all []*assignment) {
	r.config.Name, r.config.Addresses, r.listening = chosen.Name, nil, nil
	r.parts = map[string][]string{}
	defer func() {
		for name, values := range r.parts {
			r.config.Given[name] = Given{Value: strings.Join(values, " "), Where: r.config.Given[name].Where, column: r.config.Given[name].column}
		}
	}()
	for _, a := range all {
		r.file = a.file
		r.readBeside(a, chosen, all)
	}
	r.file = chosen.file
	r.at = map[string]*descriptor.Node{}
	inner := chosen.Child("CONFIGURATION")
	if inner == nil {
		r.readSections(chosen.Node)
		return
	}
	if r.bare(inner) {
		return
	}
	r.readSections(inner)
	for _, n := range groups(chosen.Node) {
		if n != inner {
			r.say(n, SeverityWarning, "%s stands outside of CONFIGURATION, which was closed before it: move one ) from there to the end", nameOr(n))
			r.readSection(n)
		}
	}
}

// groups are the children of n; those in parentheses without a name are looked into.
func groups(n *descriptor.Node) []*descriptor.Node {
	var all []*descriptor.Node
	for _, child := range n.Children {
		if child.Name == "" && len(child.Children) > 0 {
			all = append(all, groups(child)...)
		} else {
			all = append(all, child)
		}
	}
	return all
}

func (r *reader) readSections(n *descriptor.Node) {
	for _, child := range groups(n) {
		r.readSection(child)
	}
}

// readSection reads what may stand in CONFIGURATION.
func (r *reader) readSection(n *descriptor.Node) {
	switch name := strings.ToUpper(n.Name); {
	case slices.Contains(sections, name) && name != "NEXT_HOP" && r.bare(n):
	case isAddressSection(name):
		r.readAddresses(n)
	case name == "RULE_LIST", name == "RULE_GROUP", name == "RULE", name == "ACTION_LIST":
		r.readRules(n)
	case name == "PARAMETER_LIST":
		r.readParameterList(n)
	case name == "CONFIGURATION":
		r.readSections(n)
	default:
		r.readParameter(n)
	}
}

func isAddressSection(name string) bool {
	switch strings.ToUpper(name) {
	case "ADDRESS", "ADDRESS_LIST", "DESCRIPTION", "DESCRIPTION_LIST":
		return true
	}
	return false
}

func (r *reader) readParameterList(list *descriptor.Node) {
	for _, n := range groups(list) {
		if name := strings.ToUpper(n.Name); isAddressSection(name) || name == "RULE_LIST" || name == "RULE_GROUP" || name == "PARAMETER_LIST" || name == "RULE" || name == "ACTION_LIST" {
			r.say(n, SeverityWarning, "%s stands within PARAMETER_LIST, which is not closed before it: move one ) from the end to there", n.Name)
			r.readSection(n)
			continue
		}
		r.readParameter(n)
	}
}

func (r *reader) readParameter(n *descriptor.Node) {
	if n.Name == "" {
		r.say(n, SeverityError, "%q stands alone: write (NAME=value)", n.Value)
		return
	}
	p := r.known.findOf(n.Name, r.config.Name)
	if p == nil {
		if meant := misspelt(n); meant != "" {
			r.say(n, SeverityError, "%s is no part of a CONFIGURATION: did you mean %s?", n.Name, meant)
			r.rulesWrong = r.rulesWrong || strings.HasPrefix(meant, "RULE")
			return
		}
		r.sayUnknown(n)
		return
	}
	n = alone(n)
	if p.Kind != KindReplaced && p.Kind != KindOurs && p.Name != "NEXT_HOP" && n.Value == "" && len(n.Children) == 0 {
		r.say(n, SeverityWarning, "%s has no value, and is as if it were not there: write one, or take it out", strings.ToUpper(n.Name))
		return
	}
	r.note(p, n)
	if p.Kind != KindReplaced && p.set != nil {
		if word := placeholder(n); word != "" {
			r.say(n, SeverityError, "%s: %s is the placeholder of a template: put the real value in its place", p.Name, word)
			return
		}
		if err := p.set(r.config, n); err != nil {
			r.fail(n, p.Name+": %v", err)
			return
		}
	}
	r.sayKind(p, n)
	r.placed(p, n)
}

// alone is n with its value taken out of parentheses, as in DEFAULT_SERVICE_LISTENER=(XE).
func alone(n *descriptor.Node) *descriptor.Node {
	if len(n.Children) != 1 || n.Children[0].Name != "" || len(n.Children[0].Children) > 0 {
		return n
	}
	return &descriptor.Node{Name: n.Name, Value: n.Children[0].Value, Line: n.Line, Column: n.Column}
}

// placed completes what a setter cannot know.
func (r *reader) placed(p *Parameter, n *descriptor.Node) {
	switch p.Name {
	case "STATIC_SERVICE":
		s := &r.config.StaticServices[len(r.config.StaticServices)-1]
		s.Where = r.where(n)
		if before := r.again("static "+s.key(), n); before != "" {
			r.say(n, SeverityError, "STATIC_SERVICE: %s on %s is there already, at %s: take one of them out", s.Name, s.Address.HostPort(), before)
		}
	case "MIN_GATEWAY_PROCESSES", "MAX_CMCTL_SESSIONS":
		_ = p.set(r.config, n) // for those who show them
	}
}

// again returns where the thing of that name was read before, if it was.
func (r *reader) again(name string, n *descriptor.Node) (where string) {
	if r.places == nil {
		r.places = map[string]string{}
	}
	if where = r.places[name]; where == "" {
		r.places[name] = r.where(n)
	}
	return where
}

func (r *reader) where(n *descriptor.Node) string { return fmt.Sprintf("%s:%d", r.file, n.Line) }

// sayKind says that a parameter is not quite what it was.
func (r *reader) sayKind(p *Parameter, n *descriptor.Node) {
	name := strings.ToUpper(n.Name)
	switch {
	case p.Kind == KindReplaced:
		if !p.quiet(n) {
			severity := SeverityNotice
			if p.severity != "" {
				severity = p.severity
			}
			r.say(n, severity, "%s has no effect here: %s", name, p.Meaning)
		}
	case p.Name == "MAX_CONNECTIONS" || p.Name == "MAX_GATEWAY_PROCESSES": // countGateways says it
	case p.Kind == KindMapped && p.Pending:
		r.say(n, SeverityNotice, "%s: %s; that is read and checked, but has no effect in this version", name, p.Meaning)
	case p.Kind == KindMapped:
		r.say(n, SeverityNotice, "%s: %s", name, p.Meaning)
	case p.Pending:
		r.say(n, SeverityNotice, "%s is read and checked, but has no effect in this version: leave it for a later one, or take it out", name)
	case p.Name == "SERVICE":
		r.sayPendingParts(n, limitParts)
	}
}

// limitParts tells with which parameter each of treatments goes that limits how much.
var limitParts = map[string]string{"RATE": "SERVICE_RATE", "MAX_SESSIONS": "MAX_SESSIONS", "BANDWIDTH": "BANDWIDTH"}

// sayPendingParts says which parts of a parameter nothing acts on; by tells which parameter
// each goes with.
func (r *reader) sayPendingParts(n *descriptor.Node, by map[string]string) {
	for _, child := range n.Children {
		r.sayPendingPart(n, child, by)
	}
}

func (r *reader) sayPendingPart(n, child *descriptor.Node, by map[string]string) {
	if name, part := by[strings.ToUpper(child.Name)]; part && pending(name) {
		r.say(child, SeverityNotice, "%s of %s is read and checked, but has no effect in this version: leave it for a later one, or take it out", strings.ToUpper(child.Name), strings.ToUpper(n.Name))
	}
}

func (r *reader) sayUnknown(n *descriptor.Node) {
	if len(r.messages) >= maxMessages { // the nearest name is not for nothing
		r.more = true
		return
	}
	text := fmt.Sprintf("parameter %s is not known to this version and has no effect", n.Name)
	if p, instance := r.known.of(n.Name); p != nil {
		r.say(n, SeverityNotice, "%s is %s of an instance called %s and has no effect on %s: take out _%s if it should", n.Name, p.Name, instance, r.config.Name, instance)
		return
	}
	if near := nearest(n.Name, r.known.names); edits(strings.ToLower(n.Name), strings.ToLower(near)) <= 3 {
		r.say(n, SeverityNotice, "%s: did you mean %s?", text, near)
		return
	}
	r.say(n, SeverityNotice, "%s: take it out, or look in the documentation for what does the same", text)
}

// placeholder finds a word that a template left to be filled in.
func placeholder(n *descriptor.Node) string { return placeholderIn(n.Value) }

func placeholderIn(text string) string {
	for _, marks := range [][2]string{{"###", "###"}, {"${", "}"}, {"{{", "}}"}, {"{%", "%}"}, {"<", ">"}} {
		_, rest, opened := strings.Cut(text, marks[0])
		if word, _, closed := strings.Cut(rest, marks[1]); opened && closed && word != "" {
			return marks[0] + word + marks[1]
		}
	}
	if name, is := strings.CutPrefix(text, "$"); is && isHostName(name) && name != "" {
		return text
	}
	if name := strings.Trim(text, "%"); len(name) > 0 && len(name) == len(text)-2 && isHostName(name) {
		return text
	}
	return ""
}

// note keeps what the file says of a parameter, for people.
func (r *reader) note(p *Parameter, n *descriptor.Node) {
	name := p.Name
	if strings.HasSuffix(name, "*") {
		name = strings.ToUpper(n.Name)
	}
	given := Given{Value: n.Value, Where: r.where(n), column: n.Column}
	if len(n.Children) > 0 {
		given.Value = n.String()
	}
	if p.Secret {
		given.Value = descriptor.Masked
	}
	if r.config.Given == nil {
		r.config.Given = map[string]Given{}
	}
	before, again := r.config.Given[name]
	switch {
	case again && p.Repeatable:
		given.Where, given.column = before.Where, before.column
	case again && r.at[name] != nil && strings.EqualFold(r.at[name].Name, n.Name):
		r.say(n, SeverityWarning, "%s is given again, and only this one counts: take out the one at %s, or this one", name, before.Where)
	}
	if p.Repeatable {
		r.parts[name] = append(r.parts[name], given.Value)
	}
	r.at[name] = n
	r.config.Given[name] = given
}
