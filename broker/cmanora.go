package broker

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"servicebroker/descriptor"
)

// Severity of a Message.
type Severity string

// The severities: an error keeps the broker from starting with the file.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityNotice  Severity = "notice"
)

// Message is something to say about a configuration file, with its place.
type Message struct {
	File         string
	Line, Column int
	Severity     Severity
	Text         string // what is wrong, and what to do
}

// String is "FILE:LINE:COLUMN: severity: text".
func (m Message) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", m.File, m.Line, m.Column, m.Severity, m.Text)
}

// Messages are all that was found, in the order of the file.
type Messages []Message

// Err returns the errors among the messages as one error, nil if there are none.
func (all Messages) Err() error {
	var errs []error
	for _, m := range all {
		if m.Severity == SeverityError {
			errs = append(errs, errors.New(m.String()))
		}
	}
	return errors.Join(errs...)
}

// ReadConfig reads the configuration of an instance from a file in cman.ora
// syntax. instance may be empty: the one called CMAN_<hostname>, else the only
// one. The messages tell all that was found; if there is an error among them
// the Config is nil and Messages.Err says why.
func ReadConfig(file, instance string) (*Config, Messages) {
	r := &reader{file: file, config: DefaultConfig()}
	content, err := os.ReadFile(file)
	if err != nil {
		r.say(nil, SeverityError, "cannot be read: %v: name an existing file with -c, or leave it out to run by defaults", err)
		return nil, r.messages
	}
	roots, err := descriptor.ParseFile(string(content))
	if err != nil {
		r.saySyntax(err)
		return nil, r.messages
	}
	root := r.choose(roots, instance)
	if root != nil {
		r.read(root)
	}
	if r.messages.Err() != nil {
		return nil, r.messages
	}
	return r.config, r.messages
}

// reader collects a Config and what there is to say about its file.
type reader struct {
	file     string
	config   *Config
	messages Messages

	rules       []*ruleRead // in the order of the file
	lastRule    *ruleRead
	clientRules bool   // there is a rule about clients, right or wrong
	rulesAs     string // RULE_LIST or RULE_GROUP, whichever the file has
}

func (r *reader) say(n *descriptor.Node, severity Severity, format string, arguments ...any) {
	m := Message{File: r.file, Line: 1, Column: 1, Severity: severity, Text: fmt.Sprintf(format, arguments...)}
	if n != nil {
		m.Line, m.Column = n.Line, n.Column
	}
	r.messages = append(r.messages, m)
}

func (r *reader) saySyntax(err error) {
	var syntax *descriptor.SyntaxError
	if errors.As(err, &syntax) {
		at := &descriptor.Node{Line: syntax.Line, Column: syntax.Column}
		r.say(at, SeverityError, "%s: %s", syntax.Problem, syntax.Remedy)
		return
	}
	r.say(nil, SeverityError, "%v", err)
}

// choose finds the instance to run: the named one, CMAN_<hostname>, or the only
// one that is a configuration.
func (r *reader) choose(roots []*descriptor.Node, instance string) *descriptor.Node {
	var instances []*descriptor.Node
	var names []string
	for _, root := range roots {
		if strings.EqualFold(root.Name, "CONFIGURATION") || root.Child("CONFIGURATION") != nil || root.Child("ADDRESS") != nil || root.Child("ADDRESS_LIST") != nil {
			instances = append(instances, root)
			names = append(names, root.Name)
		}
	}
	wanted := instance
	if wanted == "" {
		host, _ := os.Hostname()
		wanted = "CMAN_" + host
	}
	for _, root := range instances {
		if strings.EqualFold(root.Name, wanted) {
			return root
		}
	}
	switch {
	case len(instances) == 0:
		r.say(nil, SeverityError, "no instance in the file: write NAME = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))(RULE_LIST=…))")
	case instance != "":
		r.say(nil, SeverityError, "no instance %q in the file, which has %s: did you mean %s?", instance, strings.Join(names, ", "), nearest(instance, names))
	case len(instances) == 1:
		return instances[0]
	default:
		r.say(nil, SeverityError, "the file has several instances, none of them called %s: name one of %s after the file", wanted, strings.Join(names, ", "))
	}
	return nil
}

// read reads one instance.
func (r *reader) read(root *descriptor.Node) {
	r.config.Name, r.config.File = root.Name, r.file
	if inner := root.Child("CONFIGURATION"); inner != nil {
		root = inner
	}
	r.config.Addresses = nil
	for _, n := range root.Children {
		switch strings.ToUpper(n.Name) {
		case "ADDRESS", "ADDRESS_LIST":
			r.readAddresses(n)
		case "RULE_LIST":
			r.readRules(n)
		case "RULE_GROUP":
			r.readRuleGroup(n)
		case "RULE", "ACTION_LIST":
			r.readStray(n)
		case "PARAMETER_LIST":
			for _, p := range n.Children {
				r.readParameter(p)
			}
		default:
			r.readParameter(n)
		}
	}
	if len(r.config.Addresses) == 0 {
		r.say(root, SeverityError, "no ADDRESS to listen on: add (ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))")
	}
	r.finishRules(root)
}

func (r *reader) readAddresses(n *descriptor.Node) {
	for _, node := range descriptor.Addresses(n) {
		address, err := node.Address()
		switch {
		case err != nil:
			r.say(node, SeverityError, "ADDRESS: %v", err)
		case !strings.EqualFold(address.Protocol, "tcp"):
			r.say(node, SeverityError, "PROTOCOL=%s cannot be listened on in this version: use tcp", address.Protocol)
		case address.Port < 0 || address.Port > 65535:
			r.say(node, SeverityError, "PORT=%d is out of range: use 1 to 65535", address.Port)
		default:
			r.config.Addresses = append(r.config.Addresses, address)
		}
	}
}

func (r *reader) readParameter(n *descriptor.Node) {
	p := parameter(n.Name)
	if p == nil {
		all := Parameters()
		names := make([]string, len(all))
		for i := range all {
			names[i] = all[i].Name
		}
		text := fmt.Sprintf("parameter %s is not known to this version and has no effect", n.Name)
		if near := nearest(n.Name, names); edits(strings.ToLower(n.Name), strings.ToLower(near)) <= 3 {
			text += fmt.Sprintf(": did you mean %s?", near)
		}
		r.say(n, SeverityNotice, "%s", text)
		return
	}
	if err := p.set(r.config, n); err != nil {
		r.say(n, SeverityError, "%s: %v", p.Name, err)
	}
	r.note(p.Name, n)
}

// note keeps what the file says of a parameter, for people.
func (r *reader) note(name string, n *descriptor.Node) {
	if r.config.Given == nil {
		r.config.Given = map[string]Given{}
	}
	given := Given{Value: n.Value, Where: fmt.Sprintf("%s:%d", r.file, n.Line)}
	if len(n.Children) > 0 {
		given.Value = n.String()
	}
	if before, again := r.config.Given[name]; again {
		given.Value = before.Value + " " + given.Value
	}
	r.config.Given[name] = given
}
