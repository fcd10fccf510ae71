package broker

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"servicebroker/descriptor"
)

// instance makes one instance of a listener.
func (c *converter) instance(l *listener) *descriptor.Node {
	configuration := &descriptor.Node{Name: "CONFIGURATION"}
	parameters := &descriptor.Node{Name: "PARAMETER_LIST"}
	for _, a := range append(c.common[:len(c.common):len(c.common)], l.parameters...) {
		if n := c.convertParameter(a, l); n != nil {
			parameters.Set(n.Name, "") // a later one counts
			*parameters.Child(n.Name) = *n
		}
	}
	listening := c.convertAddresses(l, parameters.Child("WALLET_LOCATION") != nil)
	for _, node := range listening {
		configuration.Add(node)
	}
	configuration.Add(c.rules())
	services := &statics{}
	for _, sid := range l.sids {
		c.convertSID(services, l, sid, listening)
	}
	for _, a := range c.aliases {
		c.convertAlias(services, l, a, listening)
	}
	if c.aliasFile != "" {
		parameters.Set("USE_SERVICE_AS_TNSNAMES_ALIAS", "on")
	}
	for _, node := range services.nodes {
		parameters.Add(node)
	}
	if len(parameters.Children) > 0 {
		configuration.Add(parameters)
	}
	return &descriptor.Node{Name: l.name, Children: []*descriptor.Node{configuration}}
}

// convertParameter returns the parameter without its listener's name, nil if it has no place.
func (c *converter) convertParameter(a *assignment, l *listener) *descriptor.Node {
	p := c.known.findOf(a.Name, l.name)
	if p.Kind == KindReplaced || p.set == nil {
		if !p.quiet(a.Node) {
			c.say(a.file, a.Node, SeverityNotice, "%s has no effect here and was left out: %s", a.Name, p.Meaning)
		}
		return nil
	}
	if err := p.set(DefaultConfig(), alone(a.Node)); err != nil {
		c.say(a.file, a.Node, SeverityWarning, "%s was left out: %v", a.Name, err)
		return nil
	}
	n := a.Clone()
	n.Name = p.Name
	return n
}

// convertAddresses makes the addresses to listen on: the listener's ports, on every address of
// the broker's machine.
func (c *converter) convertAddresses(l *listener, certificate bool) []*descriptor.Node {
	var all []*descriptor.Node
	ports := map[int]bool{}
	for _, node := range l.addresses {
		a, err := node.Address()
		protocol := strings.ToLower(a.Protocol)
		switch {
		case err != nil:
			c.say(l.file, node, SeverityWarning, "this ADDRESS was left out: %v", plain(err))
			continue
		case protocol == "tcps" && (pending("TLS_CERTIFICATE") || !certificate):
			c.say(l.file, node, SeverityWarning, "TCPS at port %d was left out, since there is no certificate for it: add the ADDRESS with TLS_CERTIFICATE and TLS_KEY, or with TLS_WALLET", a.Port)
			continue
		case protocol != "tcp" && protocol != "tcps":
			c.say(l.file, node, SeverityNotice, "PROTOCOL=%s was left out: programs on the broker's machine use the TCP address", a.Protocol)
			continue
		case ports[a.Port]:
			continue
		}
		ports[a.Port] = true
		host := everywhere(a.Host)
		if host != a.Host {
			c.say(l.file, node, SeverityNotice, "HOST=%s became %s, since the broker may run elsewhere: write the address of the machine it runs on to listen on that alone", a.Host, host)
		}
		made := descriptor.Address{Protocol: protocol, Host: host, Port: a.Port}.Node()
		if limit := node.Child("RATE_LIMIT"); limit != nil {
			made.Add(limit.Clone())
		}
		all = append(all, made)
	}
	if len(all) == 0 {
		all = append(all, descriptor.Address{Protocol: "tcp", Host: "0.0.0.0", Port: 1521}.Node())
		if l.at != nil || len(l.sids) > 0 {
			c.say(l.file, l.at, SeverityNotice, "%s has no TCP address, so the broker takes port 1521 as listeners do: change PORT if another is meant", l.name)
		}
	}
	return all
}

// everywhere is the host that stands for every address of a machine, of the same kind as host; a
// loopback address stays what it is.
func everywhere(host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.IsLoopback():
		return host
	case err == nil && ip.Is6():
		return "::"
	}
	return "0.0.0.0"
}

// statics are STATIC_SERVICEs, each once.
type statics struct {
	nodes []*descriptor.Node
	seen  map[string]bool
}

func (s *statics) add(one StaticService) {
	key := strings.ToLower(one.Name + "|" + one.Instance + "|" + one.Address.HostPort())
	if s.seen[key] {
		return
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[key] = true
	n := &descriptor.Node{Name: "STATIC_SERVICE", Children: []*descriptor.Node{{Name: "NAME", Value: one.Name}}}
	if one.Instance != "" {
		n.Set("INSTANCE", one.Instance)
	}
	n.Add(one.Address.Node())
	if one.Tier > 0 {
		n.Set("TIER", strconv.Itoa(one.Tier))
	}
	s.nodes = append(s.nodes, n)
}

// convertSID makes a static service of a SID_DESC. The broker starts no server processes, so
// the database's own listener has to go on.
func (c *converter) convertSID(services *statics, l *listener, sid *assignment, listening []*descriptor.Node) {
	name, instance, program := sid.Text("GLOBAL_DBNAME"), sid.Text("SID_NAME"), sid.Text("PROGRAM")
	switch {
	case program != "" || strings.EqualFold(instance, "PLSExtProc") || strings.EqualFold(instance, "CLRExtProc"):
		c.say(sid.file, sid.Node, SeverityNotice, "%s was left out: the broker starts no programs; the database's own listener does", cmp.Or(instance, program))
		return
	case instance == "" && name == "":
		c.say(sid.file, sid.Node, SeverityWarning, "this SID_DESC was left out, since it has neither GLOBAL_DBNAME nor SID_NAME")
		return
	case name == "":
		name = instance
	}
	address := descriptor.Address{Protocol: "tcp", Host: "localhost", Port: 1521}
	for _, node := range l.addresses {
		if a, err := node.Address(); err == nil && strings.EqualFold(a.Protocol, "tcp") && a.Port > 0 {
			address.Host, address.Port = a.Host, a.Port
			break
		}
	}
	if isUnspecified(address.Host) {
		address.Host = "localhost"
	}
	if isThisHost(address.Host) && listensAt(listening, address.Port) {
		taken := address.Port
		for address.Port = taken%65535 + 1; listensAt(listening, address.Port); {
			address.Port = address.Port%65535 + 1
		}
		c.say(sid.file, sid.Node, SeverityWarning, "%s is on this machine, where the broker takes port %d: let the database's own listener listen on port %d, or correct STATIC_SERVICE", name, taken, address.Port)
	} else {
		c.say(sid.file, sid.Node, SeverityNotice, "%s became a static service: the database's own listener has to stay at %s, since the broker starts no server processes", name, address.HostPort())
	}
	services.add(StaticService{Name: name, Instance: instance, Address: address})
}

// listensAt tells whether one of the addresses has the port.
func listensAt(listening []*descriptor.Node, port int) bool {
	for _, node := range listening {
		if node.Text("PORT") == strconv.Itoa(port) {
			return true
		}
	}
	return false
}
