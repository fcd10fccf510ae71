package broker

import (
	"fmt"
	"net/netip"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/relay"
)

// readRules reads a RULE_LIST and reports whether any of its rules is about
// clients. Rules for cmon are about administration, which this host alone may
// do; they decide nothing yet.
func (r *reader) readRules(list *descriptor.Node) bool {
	clients := false
	for _, n := range list.Children {
		if !strings.EqualFold(n.Name, "RULE") {
			r.say(n, SeverityError, "%s in a RULE_LIST: only RULE belongs there", n.Name)
			continue
		}
		if service := n.Text("SRV"); strings.EqualFold(service, "cmon") || strings.EqualFold(service, "cmgw") {
			continue
		}
		clients = true
		if rule, ok := r.readRule(n); ok {
			r.config.Rules = append(r.config.Rules, rule)
		}
	}
	return clients
}

func (r *reader) readRule(n *descriptor.Node) (relay.Rule, bool) {
	rule := relay.Rule{Text: n.String(), Where: fmt.Sprintf("%s:%d", r.file, n.Line)}
	ok := true
	fail := func(at *descriptor.Node, err error) {
		if err != nil {
			r.say(at, SeverityError, "%v", err)
			ok = false
		}
	}
	var err error
	rule.Source, err = hostPattern(n.Child("SRC"), "SRC")
	fail(n, err)
	rule.Destination, err = hostPattern(n.Child("DST"), "DST")
	fail(n, err)
	if rule.Service = n.Text("SRV"); rule.Service == "" {
		fail(n, fmt.Errorf("the rule has no SRV: name a service, or write (SRV=*)"))
	}
	rule.Action, err = parseAction(n.Child("ACT"))
	fail(orOf(n.Child("ACT"), n), err)
	for _, known := range n.Children {
		switch strings.ToUpper(known.Name) {
		case "SRC", "DST", "SRV", "ACT":
		case "ACTION_LIST":
			for _, action := range known.Children {
				fail(action, r.readAction(&rule, action))
			}
		default:
			fail(known, fmt.Errorf("%s in a RULE: did you mean %s?", known.Name, nearest(known.Name, []string{"SRC", "DST", "SRV", "ACT", "ACTION_LIST"})))
		}
	}
	return rule, ok
}

func orOf(n, otherwise *descriptor.Node) *descriptor.Node {
	if n != nil {
		return n
	}
	return otherwise
}

func parseAction(n *descriptor.Node) (relay.Action, error) {
	if n == nil {
		return relay.Reject, fmt.Errorf("the rule has no ACT: write (ACT=accept), reject or drop")
	}
	switch strings.ToLower(n.Value) {
	case "accept":
		return relay.Accept, nil
	case "reject":
		return relay.Reject, nil
	case "drop":
		return relay.Drop, nil
	}
	return relay.Reject, fmt.Errorf("ACT=%w", unknownWord(n.Value, "accept", "reject", "drop"))
}

// readAction reads one entry of an ACTION_LIST.
func (r *reader) readAction(rule *relay.Rule, n *descriptor.Node) error {
	known, err := treat(&rule.Treatment, n)
	if !known {
		r.say(n, SeverityNotice, "action %s has no effect in this version", n.Name)
	}
	return err
}

// hostPattern reads SRC or DST: *, an address, a network in /nn form, or a name.
func hostPattern(n *descriptor.Node, field string) (relay.HostPattern, error) {
	if n == nil || n.Value == "" {
		return relay.HostPattern{}, fmt.Errorf("the rule has no %s: name a host or network, or write (%s=*)", field, field)
	}
	value := strings.TrimSuffix(strings.TrimPrefix(n.Value, "["), "]")
	if value == "*" {
		return relay.HostPattern{Any: true}, nil
	}
	if strings.ContainsRune(value, '/') {
		network, err := netip.ParsePrefix(value)
		if err != nil {
			return relay.HostPattern{}, fmt.Errorf("%s=%s is not a network: write it as 10.1.0.0/16 or 2001:db8::/32", field, n.Value)
		}
		return relay.HostPattern{Network: network.Masked()}, nil
	}
	if strings.ContainsRune(value, '*') {
		return relay.HostPattern{}, fmt.Errorf("%s=%s: * stands for a whole address only: write the network in /nn form, such as 10.1.0.0/16", field, n.Value)
	}
	if address, err := netip.ParseAddr(value); err == nil {
		address = address.Unmap()
		return relay.HostPattern{Network: netip.PrefixFrom(address, address.BitLen())}, nil
	}
	return relay.HostPattern{Name: value}, nil
}
