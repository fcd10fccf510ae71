package broker

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"servicebroker/certs"
	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/relay"
)

// finish completes the configuration from all that was read, and says what is missing or
// dangerous.
func (r *reader) finish(root *descriptor.Node) {
	if len(r.config.Addresses) == 0 && r.messages.Err() == nil {
		r.say(root, SeverityError, "no ADDRESS to listen on: add (ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))")
	}
	r.countGateways()
	r.readAliases()
	r.finishRules(root)
	r.checkOpenRules()
	r.checkIdleRules()
	r.checkRegistration()
	r.checkTLS()
	r.checkDNS()
	r.checkLoops()
	r.checkLimits()
	r.checkConsul()
	r.checkPeers()
}

// countGateways makes a limit of the gateways that a file asks for.
func (r *reader) countGateways() {
	g := r.config.Gateways
	if g.Max == 0 && g.Connections == 0 {
		return
	}
	n := orOf(r.at["MAX_GATEWAY_PROCESSES"], r.at["MAX_CONNECTIONS"])
	if r.config.Limits.MaxSessions > 0 {
		r.say(n, SeverityNotice, "%s has no effect beside MAX_SESSIONS, since there are no gateways: take it out", strings.ToUpper(n.Name))
		return
	}
	processes, connections := cmp.Or(g.Max, 16), cmp.Or(g.Connections, 256) // features.md 2.3
	r.config.Limits.MaxSessions = processes * connections
	text := fmt.Sprintf("there are no gateways: MAX_GATEWAY_PROCESSES %d times MAX_CONNECTIONS %d is MAX_SESSIONS=%d", processes, connections, processes*connections)
	if pending("MAX_SESSIONS") {
		text += ", which is read and checked, but has no effect in this version"
	}
	r.say(n, SeverityNotice, "%s", text)
}

// readAliases reads the tnsnames.ora beside the file, if services are looked up there.
func (r *reader) readAliases() {
	if !r.config.ServiceIsAlias {
		return
	}
	n := r.at["USE_SERVICE_AS_TNSNAMES_ALIAS"]
	r.config.Aliases = Aliases{}
	all := r.embeddedAliases()
	path := filepath.Join(filepath.Dir(r.config.File), "tnsnames.ora")
	switch _, err := r.open(path); {
	case !errors.Is(err, os.ErrNotExist):
		names := &reader{file: path, config: &Config{File: path}, open: r.open}
		all = append(all, names.load(path, nil)...) // which go before those of the file
		r.config.Files = append(r.config.Files, names.config.Files...)
		r.messages = append(r.messages, names.messages...)
	case len(all) == 0:
		r.say(n, SeverityWarning, "there is no %s: no alias can be looked up until it is put there", path)
		return
	}
	for _, a := range all {
		if len(descriptor.Addresses(a.Node)) == 0 {
			continue
		}
		r.config.Aliases[strings.ToUpper(a.Name)] = a.Node
	}
}

// embeddedAliases are those that a cman.ora for containers has in comments, between marks:
// images made for it take them out into a tnsnames.ora.
func (r *reader) embeddedAliases() []*assignment {
	content, err := r.open(r.config.File)
	_, block, begun := strings.Cut(content, "CMAN_TNSNAMES_BEGIN")
	block, _, ended := strings.Cut(block, "CMAN_TNSNAMES_END")
	if err != nil || !begun || !ended {
		return nil
	}
	// Every line stays where it is, and every character too, so that places are those of the file.
	lines := strings.Split(strings.Repeat("\n", strings.Count(content[:strings.Index(content, "CMAN_TNSNAMES_BEGIN")], "\n"))+block, "\n")
	for i, line := range lines {
		if before, text, comment := strings.Cut(line, "#"); comment && strings.TrimSpace(before) == "" {
			lines[i] = strings.TrimPrefix(text, " ")
		}
	}
	roots, err := descriptor.ParseFile(strings.Join(lines, "\n"))
	if err != nil {
		r.file = r.config.File
		r.saySyntax(strings.Join(lines, "\n"), err)
		return nil
	}
	var all []*assignment
	for _, root := range roots {
		all = append(all, &assignment{root, r.config.File})
	}
	return all
}

// checkOpenRules says which rule lets clients go anywhere.
func (r *reader) checkOpenRules() {
	defer func(file string) { r.file = file }(r.file)
	for _, one := range r.rules {
		if !one.admin && one.rule.Action == relay.Accept && one.rule.Destination.Any {
			r.file = one.file
			r.say(one.node, SeverityWarning, "DST=* lets clients that bring their own route (SOURCE_ROUTE) reach any host from here: "+
				"name the databases' hosts or networks in DST, such as (DST=10.1.0.0/16)")
			return
		}
	}
}

// checkIdleRules says which rules wait for what never comes.
func (r *reader) checkIdleRules() {
	defer func(file string) { r.file = file }(r.file)
	encrypted := slices.ContainsFunc(r.config.Addresses, func(a descriptor.Address) bool { return strings.EqualFold(a.Protocol, "tcps") })
	for _, one := range r.rules {
		r.file = one.file
		if len(one.rule.DNs) > 0 && !encrypted {
			r.say(one.node, SeverityWarning, "the rule is about the names in clients' certificates, which come over TCPS alone, and no ADDRESS is TCPS: "+
				"add an ADDRESS with PROTOCOL=tcps and (TLS_CLIENT_CA=file), or take the DN out")
		}
		for _, service := range one.rule.Services {
			if names := strings.Fields(service); len(names) > 1 {
				r.say(orOf(one.node.Child("SRV"), one.node), SeverityWarning, "SRV=%s is one name with a blank in it: write (SRV=%s)", service, strings.Join(names, ","))
			}
		}
	}
}

// checkRegistration says that anyone may register.
func (r *reader) checkRegistration() {
	const danger = "whoever reaches this port can offer any service and gets its clients (CVE-2012-1675)"
	if r.config.Admission.Mode == registration.CheckOff {
		r.say(r.at["VALID_NODE_CHECKING_REGISTRATION"], SeverityWarning, "VALID_NODE_CHECKING_REGISTRATION is off: %s: turn it on and name the databases in REGISTRATION_INVITED_NODES", danger)
		return
	}
	for _, node := range r.config.Admission.Invited {
		if node == "*" || strings.HasSuffix(node, "/0") {
			r.say(r.at["REGISTRATION_INVITED_NODES"], SeverityWarning, "REGISTRATION_INVITED_NODES=%s invites everyone: %s: name the databases' hosts or networks, such as 10.1.0.0/16", node, danger)
			return
		}
	}
}

// checkTLS says what a TCPS address lacks.
func (r *reader) checkTLS() {
	c := r.config
	if err := c.TLS.complete(); err != nil {
		r.say(orOf(r.at["TLS_CERTIFICATE"], r.at["TLS_KEY"]), SeverityError, "%v", err)
	}
	for i, a := range c.Addresses {
		if !strings.EqualFold(a.Protocol, "tcps") {
			if c.listening(i).Passthrough {
				r.say(r.listening[i], SeverityWarning, "address %s is without TLS, so PASSTHROUGH has no effect there: write PROTOCOL=tcps, or take PASSTHROUGH out", a.HostPort())
			}
			continue
		}
		own := c.TLS
		if s := c.Listening[i]; s.Passthrough {
			continue
		} else if s.TLS != nil {
			own = *s.TLS
			if err := own.complete(); err != nil {
				r.say(r.listening[i], SeverityError, "address %s: %v", a.HostPort(), err)
				continue
			}
		}
		if own.Certificate == "" && own.Wallet == "" && c.TLS.Certificate == "" && c.TLS.Wallet == "" && len(c.ACME.Names) == 0 {
			r.say(r.listening[i], SeverityError, "address %s speaks TCPS and has no certificate: add (TLS_CERTIFICATE=file)(TLS_KEY=file), (TLS_WALLET=folder) or (ACME_NAMES=host)", a.HostPort())
		}
	}
	for _, name := range c.TLS.CipherSuites {
		if _, err := certs.ParseCipherSuites([]string{name}); err != nil {
			r.say(r.at["SSL_CIPHER_SUITES"], SeverityWarning, "SSL_CIPHER_SUITES: %v (it is left out)", err)
		}
	}
	switch {
	case c.RESTAddress == "" && c.RESTCredentials != "":
		r.say(r.at["REST_CREDENTIALS"], SeverityWarning, "REST_CREDENTIALS is of no use without an address: add (REST_ADDRESS=0.0.0.0:1525)")
	case c.RESTAddress == "":
	case c.RESTCredentials == "":
		r.say(r.at["REST_ADDRESS"], SeverityWarning, "REST_ADDRESS is not listened on, since nobody could be let in: make a file with broker credentials add NAME --role operator --file FILE and add (REST_CREDENTIALS=FILE)")
	case !c.canServeREST():
		r.say(r.at["REST_ADDRESS"], SeverityError, "REST_ADDRESS has no certificate: add (TLS_CERTIFICATE=file)(TLS_KEY=file) or (TLS_WALLET=folder), or a TCPS address with ACME_NAMES, or write (REST_ADDRESS=off)")
	}
}

// checkLoops says that connects would come back to where they are sent from.
func (r *reader) checkLoops() {
	own := func(a descriptor.Address) bool {
		for _, mine := range r.config.Addresses {
			if mine.Port == a.Port && a.Port != 0 && (strings.EqualFold(mine.Host, a.Host) || isUnspecified(mine.Host) && isThisHost(a.Host)) {
				return true
			}
		}
		return false
	}
	if hop := r.config.NextHop; hop != nil {
		for _, a := range hop.Addresses {
			if own(a) {
				r.say(r.at["NEXT_HOP"], SeverityError, "NEXT_HOP leads back to %s, where this broker listens: name the database's own listener", a.HostPort())
			}
		}
	}
	for i := range r.config.StaticServices {
		if s := &r.config.StaticServices[i]; own(s.Address) {
			r.say(r.at["STATIC_SERVICE"], SeverityError, "STATIC_SERVICE %s leads back to %s, where this broker listens: name the database's own listener, or change PORT of one of them", s.Name, s.Address.HostPort())
		}
	}
}

func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

// isThisHost tells the names and addresses that are this machine's wherever it is.
func isThisHost(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	name, _ := os.Hostname()
	return strings.EqualFold(host, "localhost") || name != "" && strings.EqualFold(host, name)
}

// checkLimits says which limits limit nothing.
func (r *reader) checkLimits() {
	l := r.config.Limits
	if l.IPRateCount > 0 && l.IPRateInterval == 0 {
		r.say(r.at["IP_RATE_COUNT"], SeverityError, "IP_RATE_COUNT counts nothing without a time: add for example (IP_RATE_INTERVAL=1)")
	}
	if l.IPRateCount == 0 && (l.IPRateInterval > 0 || l.IPRateBlock > 0) {
		r.say(orOf(r.at["IP_RATE_INTERVAL"], r.at["IP_RATE_BLOCK"]), SeverityWarning, "IP_RATE_COUNT is 0, so nobody is ever over it: add for example (IP_RATE_COUNT=100)")
	}
	rated := false
	for _, s := range r.config.Listening {
		rated = rated || s.RateLimited
	}
	if l.ConnectionRate > 0 && !rated {
		r.say(r.at["CONNECTION_RATE"], SeverityWarning, "CONNECTION_RATE counts for no address: add (RATE_LIMIT=yes) to an ADDRESS")
	}
}

// absenceOf is what it means that a file or folder is not there.
func absenceOf(parameter string) string {
	if strings.HasSuffix(parameter, "_DIRECTORY") {
		return "the broker starts, and writes nothing there until it is made for its user; standard output has the log all the same"
	}
	return "it has to be there when the broker starts"
}

// checkFiles says which of the files that the configuration names are not there.
func (c *Config) checkFiles() Messages {
	var all Messages
	for _, one := range []struct{ name, path string }{
		{"TLS_CERTIFICATE", c.TLS.Certificate}, {"TLS_KEY", c.TLS.Key}, {"TLS_CLIENT_CA", c.TLS.ClientCA},
		{"TLS_WALLET", c.TLS.Wallet}, {"TLS_WALLET_PASSWORD_FILE", c.TLS.WalletPasswordFile},
		{"UPSTREAM_TLS", c.UpstreamTLS.CA}, {"UPSTREAM_TLS", c.UpstreamTLS.Certificate}, {"UPSTREAM_TLS", c.UpstreamTLS.Key},
		{"REST_CREDENTIALS", c.RESTCredentials}, {"ACME_SHARED_KEY", c.ACME.SharedKey}, {"CONSUL_TOKEN_FILE", c.Consul.TokenFile},
		{"CONSUL_TLS", c.Consul.CA}, {"CONSUL_TLS", c.Consul.Certificate}, {"CONSUL_TLS", c.Consul.Key},
		{"LOG_DIRECTORY", c.LogDirectory}, {"TRACE_DIRECTORY", c.TraceDirectory},
	} {
		if one.path == "" {
			continue
		}
		if _, err := os.Stat(one.path); err != nil {
			m := Message{File: c.File, Line: 1, Column: 1, Severity: SeverityWarning,
				Text: fmt.Sprintf("%s: there is no %s: %s", one.name, one.path, absenceOf(one.name))}
			given, set := c.Given[one.name]
			if !set && one.name == "TLS_WALLET" {
				given, set = c.Given["WALLET_LOCATION"]
			}
			if set {
				m.File, m.Line, m.Column = given.place()
			}
			all = append(all, m)
		}
	}
	return slices.Concat(all, c.checkCertificates(), c.checkCredentials(), c.checkDNSKeys(), c.checkDescriptors())
}

// checkCertificates says which certificates could not be used, as far as their files can
// be read by whoever checks. Those that are missing have been told of.
func (c *Config) checkCertificates() Messages {
	places := make([]tlsPlace, len(c.Addresses))
	for i, a := range c.Addresses {
		places[i] = tlsPlace{address: a, settings: c.listening(i)}
	}
	maker := tlsMaker{config: c, places: places}
	var all Messages
	say := func(parameter string, err error) {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
		m := Message{File: c.File, Line: 1, Column: 1, Severity: SeverityError, Text: err.Error()}
		if errors.Is(err, fs.ErrPermission) {
			m.Severity = SeverityWarning // the broker may be somebody else
		}
		if given, set := c.Given[parameter]; set {
			m.File, m.Line, m.Column = given.place()
		}
		all = append(all, m)
	}
	told := map[string]bool{} // several addresses may have the same certificate
	for i, place := range places {
		err, by := maker.place(i), "ADDRESS"
		if err == nil || told[errors.Unwrap(err).Error()] {
			continue
		}
		told[errors.Unwrap(err).Error()] = true
		for _, name := range []string{"WALLET_LOCATION", "TLS_WALLET", "TLS_CERTIFICATE", "ACME_NAMES"} {
			if _, set := c.Given[name]; set && !place.settings.TLS.hasCertificate() {
				by = name
			}
		}
		say(by, err)
	}
	say("UPSTREAM_TLS", maker.outbound())
	if c.canServeREST() {
		say("REST_ADDRESS", maker.rest())
	}
	for _, source := range maker.made.sources {
		for _, e := range source.Expiries() {
			if !e.Trusted && time.Now().After(e.NotAfter) {
				all = append(all, Message{File: c.File, Line: 1, Column: 1, Severity: SeverityWarning,
					Text: fmt.Sprintf("the certificate %s of %s ended at %s: nobody will accept it; renew it", e.Subject, e.From, e.NotAfter.Format(time.RFC3339))})
			}
		}
	}
	return all
}

// checkCredentials says what is wrong with the file of credentials. That it is missing has been told.
func (c *Config) checkCredentials() Messages {
	if !c.servesREST() {
		return nil
	}
	_, err := console.ReadCredentials(c.RESTCredentials)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	m := Message{File: c.File, Line: 1, Column: 1, Severity: SeverityError, Text: "REST_CREDENTIALS: " + err.Error()}
	if errors.Is(err, fs.ErrPermission) { // the broker may be somebody else
		m.Severity = SeverityWarning
	}
	if given, set := c.Given["REST_CREDENTIALS"]; set {
		m.File, m.Line, m.Column = given.place()
	}
	return Messages{m}
}

// place is where the parameter is set.
func (g Given) place() (file string, line, column int) {
	file, line = splitWhere(g.Where)
	return file, line, max(g.column, 1)
}

// splitWhere takes FILE:LINE apart.
func splitWhere(where string) (file string, line int) {
	colon := strings.LastIndexByte(where, ':')
	if colon < 0 {
		return where, 1
	}
	line, err := strconv.Atoi(where[colon+1:])
	if err != nil || line < 1 {
		return where, 1
	}
	return where[:colon], line
}
