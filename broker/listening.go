package broker

import (
	"errors"
	"net"
	"strings"
	"syscall"

	"servicebroker/descriptor"
)

// readAddresses reads where to listen, from an ADDRESS or a list of them.
func (r *reader) readAddresses(n *descriptor.Node) {
	for _, node := range descriptor.Addresses(n) {
		if r.bare(node) {
			continue
		}
		for _, child := range node.Children {
			if word := placeholder(child); word != "" {
				r.say(child, SeverityError, "%s of ADDRESS: %s is the placeholder of a template: put the real value in its place", strings.ToUpper(child.Name), word)
				return
			}
		}
		address, err := node.Address()
		if err != nil {
			if wrong, meant := misspeltField(node); wrong != nil {
				r.say(wrong, SeverityError, "%s of ADDRESS: did you mean %s?", wrong.Name, meant)
				continue
			}
			r.fail(node, "ADDRESS: %v", at(addressFault(node, err), err))
			continue
		}
		if problem := badHost(address.Host); problem != "" {
			r.say(orOf(node.Child("HOST"), node), SeverityError, "%s", problem)
			continue
		}
		if r.listensOn(node, address) {
			r.note(parameter("ADDRESS"), node)
			r.config.Addresses = append(r.config.Addresses, address)
			r.config.Listening = append(r.config.Listening, r.listenSettings(node))
			r.listening = append(r.listening, node)
		}
	}
	if len(descriptor.Addresses(n)) == 0 {
		r.say(n, SeverityError, "no ADDRESS in %s: write (ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))", n.Name)
	}
}

// misspeltField finds the part of an ADDRESS that is none, and what it is meant to be.
func misspeltField(node *descriptor.Node) (wrong *descriptor.Node, meant string) {
	for _, child := range node.Children {
		meant := nearest(child.Name, []string{"PROTOCOL", "HOST", "PORT"})
		if !isAddressField(child.Name) && node.Child(meant) == nil && edits(strings.ToUpper(child.Name), meant) <= 2 {
			return child, meant
		}
	}
	return nil, ""
}

// listenRemedy says what to do where an address cannot be listened on.
func listenRemedy(err error) string {
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return "the name means nothing here: write (HOST=0.0.0.0) for all addresses of this host, or one of them"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this host has no such address: write (HOST=0.0.0.0) for all that it has, or one of them"
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 are for the system: choose another PORT, or give the broker the right to it (CAP_NET_BIND_SERVICE; RUN_AS_LOW_PORTS=on where root starts it)"
	}
	return "stop whoever listens there, or change HOST or PORT"
}

// maxAddresses bounds what one broker listens on.
const maxAddresses = 256

// addressFault is the part of an ADDRESS that an error is about.
func addressFault(node *descriptor.Node, err error) *descriptor.Node {
	if strings.Contains(plain(err).Error(), "is not a port") {
		return node.Child("PORT")
	}
	return node
}

// listensOn tells whether the broker can listen there, and says so if it cannot.
func (r *reader) listensOn(node *descriptor.Node, a descriptor.Address) bool {
	switch protocol := strings.ToLower(a.Protocol); {
	case protocol == "ipc" || protocol == "beq" || protocol == "nmp":
		r.say(node, SeverityNotice, "PROTOCOL=%s is not listened on: programs on this host use the TCP address", a.Protocol)
		return false
	case protocol != "tcp" && protocol != "tcps":
		r.say(node, SeverityError, "PROTOCOL=%s cannot be listened on: use %s", a.Protocol, nearest(a.Protocol, []string{"tcp", "tcps"}))
		return false
	}
	if len(r.config.Addresses) >= maxAddresses {
		r.say(node, SeverityError, "this is address %d: leave it at %d", maxAddresses+1, maxAddresses)
		return false
	}
	if a.Port == 0 {
		return true
	}
	if before := r.again("address "+strings.ToLower(a.HostPort()), node); before != "" {
		r.say(node, SeverityError, "%s is there already, at %s: take one of them out, or change its PORT", a.HostPort(), before)
		return false
	}
	return true
}

// listenSettings reads what an ADDRESS says besides.
func (r *reader) listenSettings(node *descriptor.Node) ListenSettings {
	var s ListenSettings
	var own TLSSettings
	fields := append(own.fields(),
		onOffField("PASSTHROUGH", &s.Passthrough), textField("NETWORK", &s.Network),
		field{"PROXY_PROTOCOL", func(n *descriptor.Node) error {
			s.ProxyProtocol = &ProxyProtocol{}
			err := s.ProxyProtocol.read(n)
			if err == nil && len(s.ProxyProtocol.Out) > 0 {
				err = errors.New("OUT is about instances, not about an ADDRESS: write it in the PROXY_PROTOCOL of PARAMETER_LIST")
			}
			return err
		}},
		field{"RATE_LIMIT", func(n *descriptor.Node) (err error) {
			if on, known := descriptor.Truth(n.Value); known && n.Value != "1" && n.Value != "0" {
				s.RateLimited = on
				return nil
			}
			s.Rate, err = ParseRate(n.Value)
			return err
		}})
	for _, child := range node.Children {
		f := fieldOf(child.Name, fields)
		switch {
		case f != nil:
			if err := f.take(child); err != nil {
				r.fail(child, f.name+": %v", err)
			}
			if strings.HasPrefix(f.name, "TLS_") {
				s.TLS = &own
			}
		case !isAddressField(child.Name):
			r.say(child, SeverityNotice, "%s of ADDRESS is not known to this version and has no effect: did you mean %s?", nameOr(child), nearest(child.Name, append(fieldNames(fields), "PROTOCOL", "HOST", "PORT")))
		case strings.EqualFold(child.Name, "FIREWALL"):
			r.say(child, SeverityNotice, "FIREWALL has no effect here: RULE_LIST says who may have which service")
		}
	}
	r.sayPendingParts(node, map[string]string{"RATE_LIMIT": "CONNECTION_RATE", "PROXY_PROTOCOL": "PROXY_PROTOCOL", "NETWORK": "VIEW",
		"TLS_CERTIFICATE": "TLS_CERTIFICATE", "TLS_KEY": "TLS_KEY", "TLS_CLIENT_CA": "TLS_CLIENT_CA", "TLS_WALLET": "TLS_WALLET", "TLS_WALLET_PASSWORD_FILE": "TLS_WALLET_PASSWORD_FILE", "TLS_MIN_VERSION": "TLS_MIN_VERSION"})
	return s
}

// isAddressField tells the parts of an ADDRESS that are Oracle's.
func isAddressField(name string) bool {
	switch strings.ToUpper(name) {
	case "PROTOCOL", "COMMUNITY", "HOST", "PORT", "KEY", "IP", "QUEUESIZE", "SEND_BUF_SIZE", "RECV_BUF_SIZE", "FIREWALL", "SDU", "TDU":
		return true
	}
	return false
}
