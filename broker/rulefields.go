package broker

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/dn"
	"servicebroker/relay"
)

// readCondition reads one element of a RULE.
func (r *reader) readCondition(rule *relay.Rule, n *descriptor.Node, kind kindOfRule) {
	var err error
	switch word := strings.ToUpper(n.Name); word {
	case "SRC":
		rule.Source, err = r.hostPattern(n)
	case "DST":
		rule.Destination, err = r.hostPattern(n)
	case "SRV":
		if rule.Services = serviceNames(n); r.oracle9i && strings.EqualFold(n.Value, "x") {
			rule.Services = []string{"*"}
		}
		if len(rule.Services) == 0 {
			err = fmt.Errorf("SRV has no value: name a service, or write (SRV=*)")
		}
	case "ACT":
		rule.Action, err = r.readAct(n)
	case "ACTION_LIST":
		r.readActions(rule, n)
	case "DN", "DN_LIST", "USER", "PROGRAM":
		if kind == adminRule {
			err = fmt.Errorf("%s cannot be told of administrative commands: leave it out of rules for cmon", word)
			break
		}
		err = r.readWho(rule, word, n)
	default:
		err = fmt.Errorf("%s in a RULE: %s", orText(n.Name, n.Value), oneMeant(ruleWord(n.Name), ruleWords))
	}
	if err != nil {
		r.say(n, SeverityError, "%v", err)
	}
}

// readWho reads the conditions about who the client says or proves to be.
func (r *reader) readWho(rule *relay.Rule, word string, n *descriptor.Node) error {
	switch word {
	case "USER":
		rule.User = n.Value
	case "PROGRAM":
		rule.Program = n.Value
	default:
		rule.DNs = append(rule.DNs[:len(rule.DNs):len(rule.DNs)], r.readDNs(n)...)
		return nil
	}
	if n.Value == "" {
		return fmt.Errorf("%s has no value: write a name, with * for any text, or leave it out", word)
	}
	return nil
}

// readDNs reads DN or DN_LIST: (DN="CN=a,O=x"), (DN_LIST=(DN=…)(DN=…)), (DN_LIST=("CN=a","CN=b"))
// or (DN_LIST=(CN=a,O=x)(CN=b)).
func (r *reader) readDNs(n *descriptor.Node) []string {
	var all []string
	keep := func(at *descriptor.Node, name string) {
		if err := dn.Check(name); err != nil {
			r.say(at, SeverityError, "%s: %v", strings.ToUpper(n.Name), err)
			return
		}
		all = append(all, name)
	}
	switch {
	case len(n.Children) == 0 && n.Value == "":
		r.say(n, SeverityError, `%s is empty: write (DN_LIST=(DN="CN=app1,O=example"))`, strings.ToUpper(n.Name))
	case len(n.Children) == 0:
		keep(n, n.Value)
	}
	for _, child := range n.Children {
		switch {
		case child.Name == "" && len(child.Children) > 0:
			all = append(all, r.readDNs(child)...)
		case child.Name == "" || strings.EqualFold(child.Name, "DN"):
			keep(child, child.Value)
		default:
			keep(child, child.Name+"="+child.Value)
		}
	}
	return all
}

// readAct reads ACT. The short forms are those of releases before 10.1.
func (r *reader) readAct(n *descriptor.Node) (relay.Action, error) {
	switch strings.ToLower(n.Value) {
	case "accept", "acc":
		return relay.Accept, nil
	case "reject", "rej":
		return relay.Reject, nil
	case "drop":
		return relay.Drop, nil
	case "log":
		return relay.Log, nil
	}
	if _, err := parseMode(n.Value); err == nil {
		return relay.Reject, fmt.Errorf("ACT=%s: ROUTE says how those go on who are let in: write (ACT=accept)(ACTION_LIST=(ROUTE=%[1]s))", n.Value)
	}
	if n.Value == "" {
		return relay.Reject, fmt.Errorf("ACT has no value: write (ACT=accept), reject, drop or log")
	}
	return relay.Reject, fmt.Errorf("ACT=%w", unknownWord(n.Value, "accept", "reject", "drop", "log"))
}

// readActions reads an ACTION_LIST.
func (r *reader) readActions(rule *relay.Rule, n *descriptor.Node) {
	if r.bare(n) {
		return
	}
	for _, action := range n.Children {
		known, err := treat(&rule.Treatment, action)
		if !known {
			known, err = r.readSwitch(action)
		}
		switch {
		case err != nil:
			r.say(action, SeverityError, "%s: %v", strings.ToUpper(action.Name), err)
		case !known:
			r.say(action, SeverityError, "%s in an ACTION_LIST: %s", orText(action.Name, action.Value),
				oneMeant(action.Name, append([]string{"AUT", "CONN_STATS", "MCT", "MIT", "MOCT"}, treatments...)))
		default:
			r.sayPendingPart(n, action, limitParts)
		}
	}
}

// readSwitch reads the actions that are accepted for the sake of files that have them.
func (r *reader) readSwitch(n *descriptor.Node) (known bool, err error) {
	var on bool
	word := strings.ToUpper(n.Name)
	if word != "AUT" && word != "CONN_STATS" {
		return false, nil
	}
	if err := onOff(func(*Config) *bool { return &on })(nil, n); err != nil {
		return true, err
	}
	switch {
	case word == "AUT" && on:
		r.say(n, SeverityNotice, "AUT=on has no effect: client and database negotiate native security with each other through the broker; "+
			"require it with SQLNET.AUTHENTICATION_SERVICES and SQLNET.ENCRYPTION_SERVER=required on the database")
	case word == "CONN_STATS" && !on:
		r.say(n, SeverityNotice, "CONN_STATS=%s has no effect: bytes of every session are counted, which costs nothing", n.Value)
	}
	return true, nil
}

// hostPattern reads SRC or DST, and says what is read otherwise than it is written.
func (r *reader) hostPattern(n *descriptor.Node) (relay.HostPattern, error) {
	if word := placeholder(n); word != "" {
		return relay.HostPattern{}, fmt.Errorf("%s: %s is the placeholder of a template: put the real value in its place", strings.ToUpper(n.Name), word)
	}
	if r.oracle9i && strings.EqualFold(strings.TrimSpace(n.Value), "x") {
		return relay.HostPattern{Any: true}, nil
	}
	if network, is := partialStars(strings.TrimSpace(n.Value)); is {
		r.say(n, SeverityWarning, "%s=%s is read as %s: Connection Manager takes * for a whole address only; write it as %s", strings.ToUpper(n.Name), n.Value, network, network)
		return relay.HostPattern{Network: network}, nil
	}
	return hostPattern(n)
}

// hostPattern reads SRC or DST: *, an address, a network in /nn form, or a name.
func hostPattern(n *descriptor.Node) (relay.HostPattern, error) {
	field := strings.ToUpper(n.Name)
	value := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(n.Value), "["), "]")
	if address, err := netip.ParseAddr(value); err == nil {
		address = address.Unmap().WithZone("")
		return relay.HostPattern{Network: netip.PrefixFrom(address, address.BitLen())}, nil
	}
	switch {
	case value == "*":
		return relay.HostPattern{Any: true}, nil
	case len(n.Children) > 0 || strings.ContainsAny(value, ", "):
		return relay.HostPattern{}, fmt.Errorf("%s takes one host or network: write a rule for each", field)
	case value == "":
		return relay.HostPattern{}, fmt.Errorf("%s has no value: name a host or network, or write (%s=*)", field, field)
	case strings.ContainsRune(value, '/'):
		network, err := parseNetwork(value)
		if err != nil {
			return relay.HostPattern{}, fmt.Errorf("%s=%s is not a network: %w", field, n.Value, err)
		}
		return relay.HostPattern{Network: network}, nil
	case strings.ContainsRune(value, '*'):
		return relay.HostPattern{}, fmt.Errorf("%s=%s: * stands for a whole address only: write the network in /nn form, such as %s", field, n.Value, starsAsNetwork(value))
	case strings.HasPrefix(n.Value, "[") && isHostName(value):
		return relay.HostPattern{}, fmt.Errorf("%s=%s is no address: put the real value in its place", field, n.Value)
	case endsInPort(value):
		return relay.HostPattern{}, fmt.Errorf("%s=%s has a port in it: name the host alone, whatever its port", field, n.Value)
	case strings.Trim(value, "0123456789.-") == "" && strings.ContainsRune(value, '-') && strings.ContainsRune(value, '.'):
		return relay.HostPattern{}, fmt.Errorf("%s=%s is no network: write networks in /nn form, such as 10.1.2.0/28, a rule for each", field, n.Value)
	case strings.Trim(value, "0123456789.") == "" || strings.ContainsRune(value, ':'):
		return relay.HostPattern{}, fmt.Errorf("%s=%s is not an address: write four numbers up to 255 as in 10.1.2.3, or eight groups as in 2001:db8::1", field, n.Value)
	case !isHostName(value):
		return relay.HostPattern{}, fmt.Errorf("%s=%s is no host name: they consist of letters, digits, hyphens and dots", field, n.Value)
	}
	return relay.HostPattern{Name: value}, nil
}

// endsInPort tells host:port, of a name or an IPv4 address.
func endsInPort(text string) bool {
	host, port, is := strings.Cut(text, ":")
	return is && isHostName(host) && host != "" && port != "" && strings.Trim(port, "0123456789") == ""
}

func isHostName(text string) bool {
	return len(text) <= 255 && strings.IndexFunc(text, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c >= 0x80)
	}) < 0
}

// parseNetwork reads a network in /nn form, and knows what else people write.
func parseNetwork(text string) (netip.Prefix, error) {
	if network, err := netip.ParsePrefix(text); err == nil {
		if a := network.Addr(); a.Is4In6() && network.Bits() >= 96 {
			network = netip.PrefixFrom(a.Unmap(), network.Bits()-96)
		}
		return network.Masked(), nil
	}
	address, mask, _ := strings.Cut(text, "/")
	if a, err := netip.ParseAddr(address); err == nil && a.Is4() {
		if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
			bytes := m.As4()
			if ones, bits := net.IPMask(bytes[:]).Size(); bits == 32 {
				return netip.Prefix{}, fmt.Errorf("write its mask in /nn form, %s/%d", address, ones)
			}
		}
	}
	return netip.Prefix{}, fmt.Errorf("write it as 10.1.0.0/16 or 2001:db8::/32")
}

// starsAsNetwork is what 10.1.*.* is meant to be, or an example.
func starsAsNetwork(text string) string {
	parts := strings.Split(text, ".")
	known := 0
	for known < len(parts) && !strings.ContainsRune(parts[known], '*') {
		known++
	}
	whole := append(append([]string{}, parts[:known]...), "0", "0", "0", "0")[:4]
	if a, err := netip.ParseAddr(strings.Join(whole, ".")); err == nil && known > 0 && known < 4 && strings.Trim(strings.Join(parts[known:], ""), "*") == "" {
		return netip.PrefixFrom(a, 8*known).String()
	}
	return "10.1.0.0/16"
}
