package registration

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"servicebroker/descriptor"
)

// nodeList is a list of invited or excluded nodes, read.
type nodeList struct {
	everyone  bool
	prefixes  []netip.Prefix
	wildcards []wildcard
	names     []string // host names, lower case
}

// wildcard is an IPv4 address in which some bytes may be anything.
type wildcard struct {
	text string
	want [4]int // -1: anything
}

// ParseNodes checks the elements of a list of invited or excluded nodes. The
// error names the element and what to write instead.
func ParseNodes(list []string) error {
	_, err := parseNodes(list)
	return err
}

func parseNodes(list []string) (nodeList, error) {
	var l nodeList
	for _, element := range list {
		if err := l.add(strings.Trim(element, " \t\r\n\"'")); err != nil {
			return nodeList{}, err
		}
	}
	return l, nil
}

// add reads one element. What looks like an address must be one: an incomplete
// or mistyped address is not taken for a host name.
func (l *nodeList) add(element string) error {
	switch bare := descriptor.BareHost(element); {
	case element == "":
		return fmt.Errorf("an empty node in the list; remove the comma too many, or write a host name or an IP address")
	case element == "*":
		l.everyone = true
	case strings.Contains(element, "*"):
		return l.addWildcard(element)
	case strings.Contains(element, "/"):
		prefix, err := netip.ParsePrefix(bare)
		if err != nil {
			return fmt.Errorf("node %q is no network; write an address and the number of its leading bits, such as 10.1.0.0/16 or 2001:db8::/32", element)
		}
		l.prefixes = append(l.prefixes, unmapPrefix(prefix).Masked())
	default:
		return l.addHost(element, bare)
	}
	return nil
}

// unmapPrefix makes an IPv4 network of one written as ::ffff:10.1.0.0/112.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func (l *nodeList) addHost(element, bare string) error {
	if a, err := netip.ParseAddr(bare); err == nil {
		a = a.Unmap().WithZone("")
		l.prefixes = append(l.prefixes, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	switch {
	case strings.Trim(element, "0123456789.") == "":
		return fmt.Errorf("node %q is no IP address; write all four numbers, or a network such as 10.1.0.0/16 or 10.1.*", element)
	case strings.Contains(element, ":"):
		return fmt.Errorf("node %q is no IP address; write it without a port", element)
	case !isHostName(element):
		return fmt.Errorf("node %q is neither an IP address nor a host name; write one of 10.1.2.3, 10.1.0.0/16, 10.1.*, 2001:db8::/32 or db1.example.com", element)
	}
	l.names = append(l.names, strings.ToLower(strings.TrimSuffix(element, ".")))
	return nil
}

// addWildcard reads 10.1.*, 10.*.*.7 and the like. A trailing * stands for all
// bytes that are missing.
func (l *nodeList) addWildcard(element string) error {
	w := wildcard{text: element, want: [4]int{-1, -1, -1, -1}}
	parts := strings.Split(element, ".")
	if len(parts) > 4 || len(parts) < 4 && parts[len(parts)-1] != "*" {
		return wildcardError(element)
	}
	for i, part := range parts {
		if part == "*" {
			continue
		}
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || part != strconv.FormatUint(n, 10) {
			return wildcardError(element)
		}
		w.want[i] = int(n)
	}
	l.wildcards = append(l.wildcards, w)
	return nil
}

func wildcardError(element string) error {
	return fmt.Errorf("node %q: a * stands for one or more whole numbers of an IPv4 address, as in 10.1.* or 10.1.*.7; for host names list each, for IPv6 write a network such as 2001:db8::/32", element)
}

// isHostName tells whether name could be looked up.
func isHostName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
				return false
			}
		}
	}
	return true
}

// match returns the element of the list that peer, unmapped and without a zone,
// is on. Names count by the addresses in resolved.
func (l *nodeList) match(peer netip.Addr, resolved map[string][]netip.Addr) (element string, found bool) {
	if l.everyone {
		return "*", true
	}
	for _, p := range l.prefixes {
		if p.Contains(peer) {
			if p.IsSingleIP() {
				return p.Addr().String(), true
			}
			return p.String(), true
		}
	}
	for _, w := range l.wildcards {
		if w.match(peer) {
			return w.text, true
		}
	}
	for _, name := range l.names {
		if slices.Contains(resolved[name], peer) {
			return name, true
		}
	}
	return "", false
}

// matchHost tells whether the host of an address is on the list: by name, or
// because it is an address on it, or because all its addresses in resolved are.
func (l *nodeList) matchHost(host string, resolved map[string][]netip.Addr) bool {
	if l.everyone {
		return true
	}
	if a, err := netip.ParseAddr(descriptor.BareHost(host)); err == nil {
		_, found := l.match(a.Unmap().WithZone(""), resolved)
		return found
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if slices.Contains(l.names, host) {
		return true
	}
	outside := func(a netip.Addr) bool {
		_, found := l.match(a, resolved)
		return !found
	}
	return len(resolved[host]) > 0 && !slices.ContainsFunc(resolved[host], outside)
}

func (w *wildcard) match(peer netip.Addr) bool {
	if !peer.Is4() {
		return false
	}
	for i, b := range peer.As4() {
		if w.want[i] >= 0 && w.want[i] != int(b) {
			return false
		}
	}
	return true
}
