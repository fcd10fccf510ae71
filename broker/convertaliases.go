package broker

import (
	"strings"

	"servicebroker/descriptor"
)

// clientNodes is whom a sqlnet.ora lets in.
type clientNodes struct {
	checking          bool
	invited, excluded []string
}

// readAliases reads a tnsnames.ora.
func (c *converter) readAliases(all []*assignment) {
	for _, a := range all {
		switch {
		case len(descriptor.Addresses(a.Node)) == 0:
			c.say(a.file, a.Node, SeverityNotice, "%s was left out: it has no ADDRESS", a.Name)
		case len(connectDatas(a.Node)) == 0:
			c.say(a.file, a.Node, SeverityNotice, "%s was left out: it names a listener and no service; a database that registers there names the broker instead", a.Name)
		case lookedUp(a.Node):
			c.say(a.file, a.Node, SeverityNotice, "%s goes through several hops or names several services, and is looked up: put %s beside the cman.ora, and let clients ask for service %s", a.Name, a.file, a.Name)
			c.aliasFile = a.file
		default:
			c.aliases = append(c.aliases, a)
		}
	}
}

// lookedUp tells aliases that no static service can stand for.
func lookedUp(n *descriptor.Node) bool {
	if descriptor.SourceRoute(n) {
		return true
	}
	names := map[string]bool{}
	for _, data := range connectDatas(n) {
		names[strings.ToLower(data.Text("SERVICE_NAME")+"|"+data.Text("SID"))] = true
	}
	return len(names) > 1
}

// convertAlias makes a static service of each address of an alias.
func (c *converter) convertAlias(services *statics, l *listener, a *assignment, listening []*descriptor.Node) {
	data := connectDatas(a.Node)[0]
	name, instance := data.Text("SERVICE_NAME"), data.Text("INSTANCE_NAME")
	if sid := data.Text("SID"); name == "" && sid != "" {
		name, instance = sid, sid
	}
	if name == "" {
		c.say(a.file, a.Node, SeverityWarning, "%s was left out: it has neither SERVICE_NAME nor SID", a.Name)
		return
	}
	tier, step := 0, tierStep(a.Node)
	for _, node := range descriptor.Addresses(a.Node) {
		address, err := node.Address()
		if err == nil {
			err = checkAddress(address)
		}
		switch {
		case err != nil:
			c.say(a.file, node, SeverityWarning, "an address of %s was left out: %v", a.Name, plain(err))
			continue
		case l.isAt(address), isThisHost(address.Host) && listensAt(listening, address.Port):
			c.say(a.file, node, SeverityNotice, "%s is at the listener that the broker takes the place of: %s is there as soon as its database registers with the broker", a.Name, name)
			continue
		}
		tier += step
		services.add(StaticService{Name: name, Instance: instance, Address: address, Tier: tier})
	}
}

// isAt tells whether the address is one of the listener's.
func (l *listener) isAt(address descriptor.Address) bool {
	for _, node := range l.addresses {
		if a, err := node.Address(); err == nil && a.Port == address.Port && strings.EqualFold(a.Host, address.Host) {
			return true
		}
	}
	return false
}

// tierStep is 1 where the addresses of an alias are tried in order, 0 where they are taken in
// turns or there is only one.
func tierStep(n *descriptor.Node) int {
	if len(descriptor.Addresses(n)) < 2 || balances(n) {
		return 0
	}
	return 1
}

// balances tells whether LOAD_BALANCE is on somewhere in n; for a DESCRIPTION_LIST it is unless
// it is said otherwise.
func balances(n *descriptor.Node) bool {
	value := n.Text("LOAD_BALANCE")
	if on, known := descriptor.Truth(value); known && on || value == "" && strings.EqualFold(n.Name, "DESCRIPTION_LIST") {
		return true
	}
	for _, child := range n.Children {
		if balances(child) {
			return true
		}
	}
	return false
}

// readClientNode reads what a sqlnet.ora says of clients' addresses.
func (c *converter) readClientNode(a *assignment) {
	switch strings.ToUpper(a.Name) {
	case "TCP.VALIDNODE_CHECKING":
		c.clients.checking, _ = descriptor.Truth(a.Value)
	case "TCP.INVITED_NODES":
		c.clients.invited = c.sources(a)
	case "TCP.EXCLUDED_NODES":
		c.clients.excluded = c.sources(a)
	default:
		if p := c.known.find(a.Name); p != nil && !p.quiet(a.Node) {
			c.say(a.file, a.Node, SeverityNotice, "%s was left out: %s", a.Name, p.Meaning)
		}
	}
}

// sources turns a list of nodes into what SRC takes.
func (c *converter) sources(a *assignment) []string {
	var all []string
	for _, node := range listOf(a.Node) {
		parts := strings.Split(node, ".")
		stars := 0
		for stars < len(parts) && parts[len(parts)-1-stars] == "*" {
			stars++
		}
		switch {
		case node == "*", !strings.Contains(node, "*"):
		case len(parts) <= 4 && !strings.Contains(strings.Join(parts[:len(parts)-stars], "."), "*"):
			known := parts[:len(parts)-stars]
			network := append(append([]string{}, known...), []string{"0", "0", "0", "0"}[len(known):]...)
			node = strings.Join(network, ".") + "/" + []string{"0", "8", "16", "24"}[len(known)]
		default:
			c.say(a.file, a.Node, SeverityWarning, "%s in %s was left out: write it as a network, such as 10.1.0.0/16, in a RULE", node, a.Name)
			continue
		}
		all = append(all, node)
	}
	return all
}

// rules are whom the files let in: everyone, unless a sqlnet.ora says otherwise.
func (c *converter) rules() *descriptor.Node {
	list := &descriptor.Node{Name: "RULE_LIST"}
	add := func(source, destination, service, action string) {
		list.Add(&descriptor.Node{Name: "RULE", Children: []*descriptor.Node{
			{Name: "SRC", Value: source}, {Name: "DST", Value: destination}, {Name: "SRV", Value: service}, {Name: "ACT", Value: action}}})
	}
	add("127.0.0.1", "127.0.0.1", "cmon", "accept")
	if !c.clients.checking {
		add("*", "*", "*", "accept")
		return list
	}
	for _, source := range c.clients.invited { // who is on both lists is let in
		add(source, "*", "*", "accept")
	}
	for _, source := range c.clients.excluded {
		add(source, "*", "*", "reject")
	}
	if len(c.clients.invited) == 0 {
		add("*", "*", "*", "accept")
	}
	return list
}
