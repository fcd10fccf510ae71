package descriptor

import (
	"cmp"
	"net"
	"strconv"
	"strings"
)

// Address says where a listener or a handler can be reached.
type Address struct {
	Protocol string // as written; "TCP" where the text has none
	Host     string // a name or IP address, without blanks around it or brackets; "" for a protocol within one machine
	Port     int    // 0 to 65535; 0 also for a protocol within one machine
	Key      string // of PROTOCOL=IPC
}

// ParseAddress reads an address as listeners, databases and clients write them: (ADDRESS=…), or any text that Parse reads
// with an ADDRESS in it, of which the first counts, such as (ADDRESS_LIST=…) or the DESCRIPTION of a REDIRECT
// (tns.md 4). The error is a *SyntaxError.
func ParseAddress(text string) (Address, error) {
	n, err := Parse(text)
	if err != nil {
		return Address{}, err
	}
	return n.Address()
}

// Address reads n, or the first ADDRESS under it. The error, a *SyntaxError, names what is missing or wrong.
func (n *Node) Address() (Address, error) {
	at := firstAddress(n)
	if at == nil {
		if n == nil {
			n = &Node{}
		}
		return Address{}, problemWith(n, "no ADDRESS in "+excerpt(n.Name), "write (ADDRESS=(PROTOCOL=tcp)(HOST=name)(PORT=number))")
	}
	a := Address{Protocol: at.Text("PROTOCOL"), Host: BareHost(at.Text("HOST")), Key: at.Text("KEY")}
	if a.Protocol == "" {
		a.Protocol = "TCP"
		if a.Key != "" && a.Host == "" {
			a.Protocol = "IPC"
		}
	}
	if sameName(a.Protocol, "IPC") || sameName(a.Protocol, "BEQ") {
		a.Host = ""
		return a, nil
	}
	if a.Host == "" {
		return Address{}, problemWith(at, "the ADDRESS has no HOST", "add (HOST=name) or (HOST=IP address)")
	}
	port := at.Child("PORT")
	if port == nil || port.Value == "" {
		return Address{}, problemWith(at, "the ADDRESS has no PORT", "add (PORT=1521), or the port its listener uses")
	}
	number, err := strconv.ParseUint(port.Value, 10, 16)
	if err != nil {
		return Address{}, problemWith(port, "PORT "+excerpt(port.Value)+" is not a port", "write a number from 0 to 65535")
	}
	a.Port = int(number)
	return a, nil
}

// BareHost takes all blanks and brackets from around a host, of which IPv6 addresses may have a pair. No more can be taken
// from what is left: whoever judges a host and whoever dials it have the same one, however it is wrapped.
func BareHost(host string) string { return strings.Trim(host, blanks+"[]") }

// firstAddress returns n or the first node under it that is an ADDRESS, without collecting the others.
func firstAddress(n *Node) *Node {
	var first *Node
	visitAddresses(n, func(at *Node) bool {
		first = at
		return false
	})
	return first
}

// Addresses returns every ADDRESS under n, or n itself if it is one, in order. What a client puts into CONNECT_DATA or
// SECURITY is not looked at.
func Addresses(n *Node) []*Node {
	var all []*Node
	visitAddresses(n, func(at *Node) bool {
		all = append(all, at)
		return true
	})
	return all
}

// visitAddresses hands out addresses until visit returns false, and returns false then.
func visitAddresses(n *Node, visit func(*Node) bool) bool {
	switch {
	case n == nil, sameName(n.Name, "CONNECT_DATA"), sameName(n.Name, "SECURITY"):
		return true
	case sameName(n.Name, "ADDRESS"):
		return visit(n)
	}
	for _, child := range n.Children {
		if !visitAddresses(child, visit) {
			return false
		}
	}
	return true
}

// Node returns the address as (ADDRESS=…), of which String is the text.
func (a Address) Node() *Node {
	protocol := a.Protocol
	if protocol == "" {
		protocol = "TCP"
	}
	n := &Node{Name: "ADDRESS", Children: []*Node{{Name: "PROTOCOL", Value: protocol}}}
	if a.Host == "" && a.Port == 0 {
		if a.Key != "" {
			n.Add(&Node{Name: "KEY", Value: a.Key})
		}
		return n
	}
	n.Add(&Node{Name: "HOST", Value: BareHost(a.Host)})
	n.Add(&Node{Name: "PORT", Value: strconv.Itoa(a.Port)})
	return n
}

// String prints (ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521)): these three only, no blanks, no brackets round IPv6, which
// is the one form every driver takes in a REDIRECT (tns.md 4.1, 14). An address within one machine has its KEY
// instead.
func (a Address) String() string {
	if a.Host == "" && a.Port == 0 {
		return a.Node().String()
	}
	w := printer{Builder: new(strings.Builder)}
	w.Grow(len("(ADDRESS=(PROTOCOL=)(HOST=)(PORT=65535))") + len(a.Protocol) + len(a.Host))
	w.WriteString("(ADDRESS=(PROTOCOL=")
	writeText(w.Builder, cmp.Or(a.Protocol, "TCP"), asValue)
	w.WriteString(")(HOST=")
	writeText(w.Builder, BareHost(a.Host), asValue)
	w.WriteString(")(PORT=")
	w.WriteString(strconv.Itoa(a.Port))
	w.WriteString("))")
	return w.String()
}

// HostPort is the form net.Dial takes: host:port, with brackets round IPv6.
func (a Address) HostPort() string { return net.JoinHostPort(BareHost(a.Host), strconv.Itoa(a.Port)) }
