package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"servicebroker/descriptor"
)

// Convert returns the text of a cman.ora that does what a listener.ora, a tnsnames.ora and a
// sqlnet.ora do, one instance for each listener, and what there is to say about it. The text
// loads with ReadConfig; it is empty if there is an error among the messages.
func Convert(files ...string) (string, Messages) {
	c := &converter{known: newParameterIndex()}
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(file))
		c.read(file)
	}
	if c.messages.Err() != nil {
		return "", c.messages
	}
	if len(c.listeners) == 0 {
		c.listeners = []*listener{{name: DefaultName, file: "cman.ora"}}
	}
	var instances []*descriptor.Node
	for _, l := range c.listeners {
		instances = append(instances, c.instance(l))
	}
	text := c.heading(names) + descriptor.Format(instances...)
	for _, l := range c.listeners {
		c.verify(text, l.name)
	}
	if c.messages.Err() != nil {
		return "", c.messages
	}
	return text, c.messages
}

// converter collects what files say.
type converter struct {
	known     *parameterIndex
	messages  Messages
	listeners []*listener
	common    []*assignment // parameters of all listeners
	aliases   []*assignment
	aliasFile string      // of aliases that can only be looked up; empty: none
	clients   clientNodes // of a sqlnet.ora
}

// listener is one of a listener.ora.
type listener struct {
	name       string
	file       string
	at         *descriptor.Node // nil: it is not in the file
	addresses  []*descriptor.Node
	sids       []*assignment // SID_DESC
	parameters []*assignment
}

func (c *converter) say(file string, n *descriptor.Node, severity Severity, format string, arguments ...any) {
	m := Message{File: file, Line: 1, Column: 1, Severity: severity, Text: fmt.Sprintf(format, arguments...)}
	if n != nil && n.Line > 0 {
		m.Line, m.Column = n.Line, n.Column
	}
	if !slices.Contains(c.messages, m) { // every listener gets every alias
		c.messages = append(c.messages, m)
	}
}

// read reads one file, of whichever kind.
func (c *converter) read(file string) {
	r := &reader{file: file, config: &Config{File: file}, open: readFile}
	all := r.load(file, nil)
	c.messages = append(c.messages, r.messages...)
	switch kindOfFile(file, all) {
	case "tnsnames":
		c.readAliases(all)
	case "sqlnet":
		for _, a := range all {
			c.readClientNode(a)
		}
	default:
		c.readListeners(all)
	}
	if len(all) == 0 && r.messages.Err() == nil {
		c.say(file, nil, SeverityWarning, "there is nothing in it: name another file")
	}
}

// kindOfFile tells files apart by name, else by what is in them.
func kindOfFile(file string, all []*assignment) string {
	base := strings.ToLower(filepath.Base(file))
	for _, kind := range []string{"listener", "tnsnames", "sqlnet"} {
		if strings.Contains(base, kind) {
			return kind
		}
	}
	kind := "sqlnet"
	for _, a := range all {
		switch {
		case strings.HasPrefix(strings.ToUpper(a.Name), "SID_LIST_"):
			return "listener"
		case len(connectDatas(a.Node)) > 0:
			return "tnsnames"
		case len(descriptor.Addresses(a.Node)) > 0:
			kind = "listener"
		}
	}
	return kind
}

// readListeners reads a listener.ora.
func (c *converter) readListeners(all []*assignment) {
	var rest []*assignment
	for _, a := range all {
		if !strings.HasPrefix(strings.ToUpper(a.Name), "SID_LIST_") && len(descriptor.Addresses(a.Node)) > 0 && !c.isParameter(a.Name, all) {
			c.listeners = append(c.listeners, &listener{name: a.Name, file: a.file, at: a.Node, addresses: descriptor.Addresses(a.Node)})
			continue
		}
		rest = append(rest, a)
	}
	for _, a := range rest {
		if name, is := strings.CutPrefix(strings.ToUpper(a.Name), "SID_LIST_"); is {
			l := c.listenerCalled(name, a.file)
			for _, one := range sidDescriptions(a.Node) {
				l.sids = append(l.sids, &assignment{one, a.file})
			}
		}
	}
	for _, a := range rest {
		if !strings.HasPrefix(strings.ToUpper(a.Name), "SID_LIST_") {
			c.readListenerParameter(a)
		}
	}
}

// isParameter tells LOCAL_REGISTRATION_ADDRESS_LISTENER, which has an ADDRESS, from a listener.
func (c *converter) isParameter(name string, all []*assignment) bool {
	if c.known.find(name) != nil {
		return true
	}
	for _, a := range all {
		if a.Name != name && c.known.findOf(name, a.Name) != nil {
			return true
		}
	}
	return false
}

func sidDescriptions(n *descriptor.Node) []*descriptor.Node {
	if strings.EqualFold(n.Name, "SID_DESC") {
		return []*descriptor.Node{n}
	}
	var all []*descriptor.Node
	for _, child := range n.Children {
		all = append(all, sidDescriptions(child)...)
	}
	return all
}

// listenerCalled finds a listener; one that is only spoken of has Oracle's default address.
func (c *converter) listenerCalled(name, file string) *listener {
	for _, l := range c.listeners {
		if strings.EqualFold(l.name, name) {
			return l
		}
	}
	l := &listener{name: name, file: file}
	c.listeners = append(c.listeners, l)
	return l
}

// readListenerParameter gives a parameter to the listener whose name it ends in, or to all.
func (c *converter) readListenerParameter(a *assignment) {
	for _, l := range c.listeners {
		if strings.HasSuffix(strings.ToUpper(a.Name), "_"+strings.ToUpper(l.name)) && c.known.findOf(a.Name, l.name) != nil {
			l.parameters = append(l.parameters, a)
			return
		}
	}
	if c.known.find(a.Name) == nil {
		c.say(a.file, a.Node, SeverityNotice, "%s is not known and was left out: see whether a RULE or a parameter of this broker does the same", a.Name)
		return
	}
	c.common = append(c.common, a)
}

// heading is the comment at the top: where it comes from, and what there is to say.
func (c *converter) heading(names []string) string {
	var w strings.Builder
	fmt.Fprintf(&w, "# Made by broker convert from %s.\n", descriptor.Escape(strings.Join(names, ", ")))
	for _, m := range c.messages {
		fmt.Fprintf(&w, "# %s\n", descriptor.Escape(fmt.Sprintf("%s:%d: %s", filepath.Base(m.File), m.Line, m.Text)))
	}
	w.WriteByte('\n')
	return w.String()
}

// verify reads what was made as the broker would. That it does not load is an error; what
// else is said of it will be said when it is used.
func (c *converter) verify(text, instance string) {
	_, messages := readConfig("cman.ora", instance, func(path string) (string, error) {
		if path == "cman.ora" {
			return text, nil
		}
		return "", os.ErrNotExist // what is beside it is not known
	})
	for _, m := range messages {
		if m.Severity == SeverityError {
			m.Text = "what was made does not load: " + m.Text
			c.messages = append(c.messages, m)
		}
	}
}
