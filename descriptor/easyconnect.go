package descriptor

import (
	"strconv"
	"strings"
)

const (
	defaultPort    = 1521    // of an address that names none
	easyBytes      = 8 << 10 // longest Easy Connect text
	easyParameters = 64      // most parameters in one
)

// ParseConnect reads what people type to connect: a descriptor, which begins with a parenthesis, or Easy Connect text.
func ParseConnect(text string) (*Node, error) {
	if strings.HasPrefix(strings.TrimLeft(text, blanks), "(") {
		return Parse(text)
	}
	return EasyConnect(text)
}

// EasyConnect turns Easy Connect Plus text into the DESCRIPTION it stands for. The form is
//
//	[[protocol:]//]host[,host…][:port][;host…][/[service][:server][/instance]][?name=value[&name=value…]]
//
// where protocol is tcp or tcps, an IPv6 address stands in brackets, and server is dedicated, shared or pooled. Hosts
// without a port have that of the next host with one; the last ones, 1521. Semicolons make ADDRESS_LISTs. Several
// addresses are balanced over unless load_balance says otherwise.
//
// A parameter goes where Oracle Net looks for it: to the addresses (https_proxy), to CONNECT_DATA (pool_boundary), to
// SECURITY (wallet_location), and any other to the DESCRIPTION, its name in upper case. Of one given twice the last
// counts. A parameter with a dot in its name is a driver's own and is left out. A value may stand in double quotes.
//
// A parameter of each address is written with each of many: what comes of all that is never more than Parse reads.
//
// The error is a *SyntaxError.
func EasyConnect(text string) (*Node, error) {
	e := easy{text: text}
	n := e.description()
	if e.err == nil && (n.size() > textBytes || len(n.String()) > textBytes) {
		e.fail(span{0, len(text)}, "the descriptor of it has more than "+strconv.Itoa(textBytes)+" bytes", "name fewer hosts, or shorten the parameters")
	}
	if e.err != nil {
		return nil, e.err
	}
	return n, nil
}

// easy reads Easy Connect text. Parts of it are given as spans, so that problems have a place.
type easy struct {
	text string
	own  Node // parameters of the DESCRIPTION, as its Children
	err  *SyntaxError
}

// span is part of a text, from one offset to another.
type span struct{ from, to int }

// of returns what is at s, without blanks around it.
func (e *easy) of(s span) string { return strings.Trim(e.text[s.from:s.to], blanks) }

// cut splits s at the first separator.
func (e *easy) cut(s span, separator string) (before, after span, found bool) {
	i := strings.Index(e.text[s.from:s.to], separator)
	if i < 0 {
		return s, span{s.to, s.to}, false
	}
	return span{s.from, s.from + i}, span{s.from + i + len(separator), s.to}, true
}

// fail keeps the first problem, found where s begins, blanks apart.
func (e *easy) fail(s span, problem, remedy string) {
	if e.err == nil {
		part := e.text[s.from:s.to]
		skipped := len(part) - len(strings.TrimLeft(part, blanks))
		e.err = problemAt(e.text, s.from+skipped, problem, remedy)
	}
}

func (e *easy) description() *Node {
	whole := span{0, len(e.text)}
	if len(e.text) > easyBytes {
		e.fail(whole, "the text has more than "+strconv.Itoa(easyBytes)+" bytes", "make it shorter, or write a descriptor")
		return nil
	}
	where, settings, _ := e.cut(whole, "?")
	if strings.Contains(e.text[where.from:where.to], "@") {
		e.fail(where, "there is a user before an @", "leave out user, password and @")
		return nil
	}
	protocol, where := e.protocol(where)
	hosts, what, _ := e.cut(where, "/")
	n := &Node{Name: "DESCRIPTION", Children: e.lists(hosts, protocol)}
	several := len(n.Children) > 1 && sameName(n.Children[0].Name, "ADDRESS")
	n.Add(e.connectData(what))
	e.settings(n, settings)
	if several && e.own.Child("LOAD_BALANCE") == nil {
		e.own.Add(balance())
	}
	n.Children = append(e.own.Children, n.Children...)
	return n
}

// balance is the node that spreads clients over several addresses.
func balance() *Node { return &Node{Name: "LOAD_BALANCE", Value: "ON"} }

// protocol takes [[protocol:]//] from the front.
func (e *easy) protocol(s span) (string, span) {
	before, after, found := e.cut(s, "//")
	switch name := e.of(before); {
	case found && name == "":
		return "TCP", after
	case !found || !strings.HasSuffix(name, ":") || strings.Contains(name, "/"):
		return "TCP", s // the // of host//instance, or none
	case sameName(name, "tcp:"), sameName(name, "tcps:"):
		return strings.ToUpper(name[:len(name)-1]), after
	default:
		e.fail(before, "the protocol "+excerpt(name[:len(name)-1])+" is not known", "write tcp:// or tcps://")
		return "", after
	}
}

// lists reads the hosts: the addresses, or ADDRESS_LISTs of them if there are several.
func (e *easy) lists(s span, protocol string) []*Node {
	var lists []*Node
	for more := true; more && e.err == nil; {
		var list span
		list, s, more = e.cut(s, ";")
		addresses := e.addresses(list, protocol)
		if len(lists) == 0 && !more {
			return addresses
		}
		n := &Node{Name: "ADDRESS_LIST", Children: addresses}
		if len(addresses) > 1 {
			n.Children = append([]*Node{balance()}, addresses...)
		}
		lists = append(lists, n)
	}
	return lists
}

// addresses reads host[:port],host[:port]…
func (e *easy) addresses(s span, protocol string) []*Node {
	var nodes []*Node
	waiting := 0 // index of the first address that has no port yet
	for more := true; more && e.err == nil; {
		var one span
		one, s, more = e.cut(s, ",")
		host, port := e.hostPort(one)
		nodes = append(nodes, Address{Protocol: protocol, Host: host, Port: defaultPort}.Node())
		if port == "" {
			continue
		}
		for ; waiting < len(nodes); waiting++ {
			nodes[waiting].Set("PORT", port)
		}
	}
	return nodes
}

// hostPort reads host[:port], where host may be in brackets.
func (e *easy) hostPort(s span) (host, port string) {
	search := s
	bracketed := strings.HasPrefix(e.of(s), "[")
	if bracketed {
		_, after, found := e.cut(s, "]")
		if !found {
			e.fail(s, "the [ before an IPv6 address is never closed", "write ] after the address")
			return "", ""
		}
		search = after
	}
	before, after, found := e.cut(search, ":")
	host = e.of(span{s.from, before.to})
	name := host
	if bracketed {
		name = strings.Trim(strings.TrimSuffix(host[1:], "]"), blanks)
	}
	switch {
	case !bracketed && strings.Count(e.text[s.from:s.to], ":") > 1:
		e.fail(s, "more than one : after a host",
			"write an IPv6 address in brackets; to name a SID, write (DESCRIPTION=…(CONNECT_DATA=(SID=…)))")
	case bracketed && !strings.HasSuffix(host, "]"), strings.ContainsAny(name, "()=[]\"' \t\r\n&"):
		e.fail(s, excerpt(host)+" is not a host", "write a name or an address, IPv6 in brackets")
	case name == "":
		e.fail(s, "a host is missing", "write host:port/service")
	case found:
		port = e.of(after)
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			e.fail(after, excerpt(port)+" is not a port", "write a number from 1 to 65535")
		}
	}
	return host, port
}

// connectData reads [service][:server][/instance].
func (e *easy) connectData(s span) *Node {
	s, instance, hasInstance := e.cut(s, "/")
	service, server, hasServer := e.cut(s, ":")
	n := &Node{Name: "CONNECT_DATA", Children: []*Node{{Name: "SERVICE_NAME", Value: e.word(service, "service")}}}
	if hasServer {
		mode := e.of(server)
		if !sameName(mode, "dedicated") && !sameName(mode, "shared") && !sameName(mode, "pooled") {
			e.fail(server, "the server "+excerpt(mode)+" is not known", "write dedicated, shared or pooled")
		}
		n.Add(&Node{Name: "SERVER", Value: mode})
	}
	if hasInstance && e.of(instance) != "" {
		n.Add(&Node{Name: "INSTANCE_NAME", Value: e.word(instance, "instance")})
	}
	return n
}

// word returns the name at s, which may be empty.
func (e *easy) word(s span, what string) string {
	name := e.of(s)
	if strings.ContainsAny(name, "()=/\"' \t\r\n&") {
		e.fail(s, excerpt(name)+" is not a name of "+what, "write "+what+" names without blanks, quotes, slashes and parentheses")
	}
	return name
}
