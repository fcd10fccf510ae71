package dns

import (
	"fmt"
	"net/netip"
	"strings"

	wire "github.com/miekg/dns"
)

// CheckZone says why name, without the dot at its end, cannot be that of a zone.
func CheckZone(name string) error {
	labels, valid := wire.IsDomainName(name)
	if len(name) > maxZone {
		return fmt.Errorf("%q has more than %d characters, which leaves no room for the names of services: take a shorter one", name, maxZone)
	}
	if !valid || labels == 0 || strings.ContainsAny(name, " \\\"/:@") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("%q is no domain name: write for example db.example.com", name)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Errorf("%q is an address: write a domain name, for example db.example.com", name)
	}
	return nil
}

// maxZone leaves room for the names within it.
const maxZone = 253 - maxName - len("_oracle._tcp..")

// CheckReverse says why the addresses of a network cannot be given names.
func CheckReverse(network netip.Prefix) error {
	_, err := reverseZone(network)
	return err
}

// Check says what is wrong with the settings of a server, as Run and Sync would.
func (s *Server) Check() error { return s.prepare() }

// Check says what is wrong with the settings of an updater, as Sync would.
func (u *Updater) Check() error { return u.Key.check() }
