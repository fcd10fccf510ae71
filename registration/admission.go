package registration

import (
	"context"
	"net/netip"
)

// CheckMode says who may register without being invited (features.md 1.7).
type CheckMode uint8

const (
	CheckLocal  CheckMode = iota // this host's own addresses
	CheckSubnet                  // and everything in the subnets of its interfaces
	CheckOff                     // everyone who is not excluded
)

// Admission decides who may register. The zero value admits this host's own
// addresses, over TCP and TCPS.
type Admission struct {
	Mode CheckMode
	// Invited and Excluded are lists of host names, IP addresses, CIDR blocks
	// (IPv4 and IPv6) and IPv4 addresses with wildcards such as 10.1.*. Who is
	// on both lists is admitted. Check them with ParseNodes first.
	Invited, Excluded []string
	Transports        []string // over which registrants may come; nil: TCP and TCPS

	Resolve    func(ctx context.Context, host string) ([]netip.Addr, error) // nil: the system's resolver
	Interfaces func() ([]netip.Prefix, error)                               // this host's addresses with their subnets; nil: the system's
}

// ParseNodes checks the elements of a list of invited or excluded nodes. The
// error names the element and what to write instead.
func ParseNodes(list []string) error { return nil }
