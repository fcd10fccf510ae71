package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"servicebroker/discovery/dns"
)

// checkDNS says what does not go together.
func (r *reader) checkDNS() {
	c := &r.config.DNS
	on := orOf(r.at["DNS_ADDRESS"], r.at["DNS_UPDATE"])
	switch {
	case c.published() && c.Zone == "" && r.at["DNS_ZONE"] == nil:
		r.say(on, SeverityError, "DNS_ZONE is missing: name the zone that services get their names in, for example (DNS_ZONE=db.example.com)")
	case c.Zone != "" && !c.published():
		r.say(r.at["DNS_ZONE"], SeverityWarning, "DNS_ZONE is published nowhere: add (DNS_ADDRESS=0.0.0.0:53) to serve it here, or DNS_UPDATE to write it to a primary")
	}
	if c.Address == "" {
		for _, name := range []string{"DNS_TRANSFER", "DNS_DNSSEC"} {
			if r.at[name] != nil && (name != "DNS_DNSSEC" || c.Sign) {
				r.say(r.at[name], SeverityWarning, "%s is about the zone that is served here, and none is: add (DNS_ADDRESS=0.0.0.0:53), or take it out", name)
			}
		}
	}
	if c.Sign && len(c.Secondaries) > 0 {
		r.say(r.at["DNS_DNSSEC"], SeverityError, "DNS_DNSSEC signs each answer, which secondaries cannot copy: take DNS_TRANSFER out and run several brokers, or write the zone to a primary that signs it (DNS_UPDATE) and let that one have the secondaries")
	}
	for _, s := range c.Secondaries {
		if s.Key == "" {
			r.say(r.at["DNS_TRANSFER"], SeverityWarning, "whoever has the address %s gets the zone: make a key with tsig-keygen broker > FILE, give it to both, and add (KEY=FILE)", s.Address.Addr())
		}
	}
	if c.Update.Primary != "" && c.Zone != "" && !isWithin(c.Zone, c.updateZone()) {
		r.say(r.at["DNS_UPDATE"], SeverityError, "DNS_ZONE %s is not within ZONE %s of the primary: name the zone there that it is in", c.Zone, c.Update.Zone)
	}
	r.checkProofs()
	r.checkShared()
}

// isWithin tells whether a name is that of a zone or below it.
func isWithin(name, zone string) bool {
	name, zone = strings.ToLower(strings.TrimSuffix(name, ".")), strings.ToLower(zone)
	return name == zone || strings.HasSuffix(name, "."+zone)
}

// checkProofs says that names cannot be proved by DNS.
func (r *reader) checkProofs() {
	c := r.config
	if len(c.ACME.Names) == 0 || c.ACME.Challenge != challengeDNS {
		return
	}
	zone := c.proofZone()
	if zone == "" {
		r.say(r.at["ACME_CHALLENGE"], SeverityError, "ACME_CHALLENGE=dns-01 needs a zone to put proofs into: add DNS_UPDATE, or DNS_ADDRESS and DNS_ZONE, or use tls-alpn")
		return
	}
	for _, name := range c.ACME.Names {
		if !isWithin(name, zone) {
			r.say(r.at["ACME_NAMES"], SeverityError, "%s is not in the zone %s, into which proofs are put: use a name within it, or ACME_CHALLENGE=tls-alpn", name, zone)
		}
	}
}

// challengeDNS is the word for proofs by DNS.
const challengeDNS = "dns-01"

// proofZone is where ACME's proofs are put: a primary's zone, else the one that is served here.
func (c *Config) proofZone() string {
	switch {
	case c.DNS.Update.Primary != "":
		return c.DNS.updateZone()
	case c.DNS.Address != "":
		return c.DNS.Zone
	}
	return ""
}

// checkDNSKeys says which keys cannot be used, or are known to others.
func (c *Config) checkDNSKeys() Messages {
	var all Messages
	say := func(parameter string, severity Severity, format string, arguments ...any) {
		m := Message{File: c.File, Line: 1, Column: 1, Severity: severity, Text: parameter + ": " + fmt.Sprintf(format, arguments...)}
		if given, set := c.Given[parameter]; set {
			m.File, m.Line, m.Column = given.place()
		}
		all = append(all, m)
	}
	check := func(parameter, path string) {
		if path == "" {
			return
		}
		_, err := dns.ReadKey(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			say(parameter, SeverityError, "there is no %s: make it with tsig-keygen NAME > %[1]s, and give it to the other name server", path)
			return
		case errors.Is(err, fs.ErrPermission):
			say(parameter, SeverityWarning, "%s cannot be read by this user: the broker's has to be able to", path)
			return
		case err != nil:
			say(parameter, SeverityError, "%v", err)
			return
		}
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
			say(parameter, SeverityWarning, "everyone on this host may read %s, and whoever has the key can act as the broker: chmod 640 %[1]s", path)
		}
	}
	check("DNS_UPDATE", c.DNS.Update.Key)
	var done []string
	for _, s := range c.DNS.Secondaries {
		if !slices.Contains(done, s.Key) {
			check("DNS_TRANSFER", s.Key)
			done = append(done, s.Key)
		}
	}
	return all
}
