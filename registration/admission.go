package registration

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// CheckMode says who may register without being invited (features.md 1.7).
type CheckMode uint8

const (
	CheckLocal  CheckMode = iota // this host's own addresses
	CheckSubnet                  // and everything in the subnets of its interfaces
	CheckOff                     // everyone who is not excluded
)

// Admission says who may register. The zero value admits this host's own
// addresses, over TCP and TCPS.
type Admission struct {
	Mode CheckMode
	// Invited and Excluded are lists of host names, IP addresses, CIDR blocks
	// (IPv4 and IPv6) and IPv4 addresses with wildcards such as 10.1.*. Who is
	// on both lists is admitted; who is excluded only is not, even this host and
	// whatever the Mode. Check them with ParseNodes first: while a list cannot be
	// read, nobody is admitted.
	Invited, Excluded []string
	Transports        []string // over which registrants may come: TCP, TCPS, IPC (Unix sockets); nil: TCP and TCPS

	// Resolve looks up a host name of the lists; nil: the system's resolver. A
	// name is looked up at most every 30 s, and given 2 s.
	Resolve    func(ctx context.Context, host string) ([]netip.Addr, error)
	Interfaces func() ([]netip.Prefix, error) // this host's addresses with their subnets; nil: the system's
}

// verdict is whether someone may register, and why.
type verdict struct {
	allowed bool
	why     string
	remedy  string // what to write into the configuration to admit a refused peer
}

// gate is an Admission ready to decide.
type gate struct {
	mode              CheckMode
	invited, excluded nodeList
	transports        []string
	own               ownAddresses
	names             names
}

// facts is what a decision needs to know of the world.
type facts struct {
	resolved   map[string][]netip.Addr // by host name, of the lists
	unresolved []string                // names that could not be looked up, with the reason
	local      []netip.Prefix          // this host's addresses with their subnets
	unanswered bool                    // what an invited name means is not known: no name service has said anything
}

func newGate(a *Admission) (*gate, error) {
	if a == nil {
		a = &Admission{}
	}
	g := &gate{mode: a.Mode, own: ownAddresses{ask: a.Interfaces}, transports: []string{"TCP", "TCPS"}}
	g.names.resolve = a.Resolve
	if g.names.resolve == nil {
		g.names.resolve = resolve
	}
	if g.own.ask == nil {
		g.own.ask = interfaces
	}
	if len(a.Transports) > 0 {
		g.transports = nil
		for _, t := range a.Transports {
			g.transports = append(g.transports, strings.ToUpper(strings.TrimSpace(t)))
		}
	}
	var err error
	if g.invited, err = parseNodes(a.Invited); err != nil {
		return nil, fmt.Errorf("REGISTRATION_INVITED_NODES: %w", err)
	}
	if g.excluded, err = parseNodes(a.Excluded); err != nil {
		return nil, fmt.Errorf("REGISTRATION_EXCLUDED_NODES: %w", err)
	}
	return g, nil
}

// admit decides about a peer, and looks up names only if they can matter.
func (g *gate) admit(ctx context.Context, peer netip.Addr, transport string) verdict {
	peer = peer.Unmap().WithZone("")
	var known facts
	if g.needsFacts(peer, transport) {
		known = g.find(ctx)
	}
	return g.decide(peer, transport, known)
}

func (g *gate) needsFacts(peer netip.Addr, transport string) bool {
	_, found := g.invited.match(peer, nil)
	return !found && slices.Contains(g.transports, transport)
}

// find looks up what a decision needs.
func (g *gate) find(ctx context.Context) (known facts) {
	known.resolved, known.unresolved = g.names.lookup(ctx, append(slices.Clone(g.invited.names), g.excluded.names...))
	known.unanswered = g.names.unanswered(g.invited.names)
	var err error
	if known.local, err = g.own.get(); err != nil {
		known.unresolved = append(known.unresolved, fmt.Sprintf("this host's addresses: %v", err))
	}
	return known
}

// decide applies the rules to what is known. peer is unmapped and without a
// zone; the zero Addr is a peer on this host's Unix sockets.
func (g *gate) decide(peer netip.Addr, transport string, known facts) verdict {
	if !slices.Contains(g.transports, transport) {
		return verdict{why: fmt.Sprintf("registration over %s is not allowed", transport),
			remedy: fmt.Sprintf("add %s to REGISTRATION_TRANSPORTS", transport)}
	}
	if !peer.IsValid() {
		return verdict{allowed: transport == "IPC", why: "its address is not known", remedy: "let it register over TCP or TCPS"}
	}
	if element, found := g.invited.match(peer, known.resolved); found {
		return verdict{allowed: true, why: "invited by " + element}
	}
	if element, found := g.excluded.match(peer, known.resolved); found {
		return verdict{why: "excluded by " + element,
			remedy: fmt.Sprintf("remove %s from REGISTRATION_EXCLUDED_NODES, or add %s to REGISTRATION_INVITED_NODES, which wins", element, peer)}
	}
	if g.mode == CheckOff {
		return verdict{allowed: true, why: "anyone may register"}
	}
	near, here := isLocal(peer, known.local)
	if here {
		return verdict{allowed: true, why: "it is this host's own address"}
	}
	if near && g.mode == CheckSubnet {
		return verdict{allowed: true, why: "it is in a subnet of this host"}
	}
	return g.uninvited(peer, near, known.unresolved)
}

func (g *gate) uninvited(peer netip.Addr, near bool, unresolved []string) verdict {
	v := verdict{why: "it is neither this host's own address nor invited",
		remedy: fmt.Sprintf("write (REGISTRATION_INVITED_NODES=%s) into the PARAMETER_LIST, or a network or host name it belongs to", peer)}
	if len(g.invited.prefixes)+len(g.invited.wildcards)+len(g.invited.names) > 0 {
		v.remedy = fmt.Sprintf("add %s, or a network or host name it belongs to, to REGISTRATION_INVITED_NODES", peer)
	}
	if near {
		v.remedy += "; VALID_NODE_CHECKING_REGISTRATION=SUBNET would admit this host's whole subnet"
	}
	if len(unresolved) > 0 {
		v.why += " (could not look up " + strings.Join(unresolved, "; ") + ")"
	}
	return v
}

// isLocal tells whether peer is near, that is in a subnet of this host, and
// whether it is here: one of this host's own addresses, loopback included.
func isLocal(peer netip.Addr, local []netip.Prefix) (near, here bool) {
	here = peer.IsLoopback()
	for _, p := range local {
		here = here || p.Addr() == peer
		near = near || p.Contains(peer)
	}
	return near, here
}

// ownAddresses remembers this host's addresses for a moment: asking costs the system more than a stranger should be able to ask for.
type ownAddresses struct {
	ask func() ([]netip.Prefix, error)

	mu    sync.Mutex
	local []netip.Prefix
	err   error
	at    time.Time
}

func (o *ownAddresses) get() ([]netip.Prefix, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at.IsZero() || time.Since(o.at) >= ownFresh {
		o.local, o.err = o.ask()
		o.at = time.Now()
	}
	return o.local, o.err
}

// interfaces returns this host's addresses with their subnets.
func interfaces() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var local []netip.Prefix
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err == nil {
			local = append(local, netip.PrefixFrom(p.Addr().Unmap().WithZone(""), p.Bits()))
		}
	}
	return local, nil
}

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// Time a name is given, how long its addresses are used, and how long this host's own.
const (
	lookupTime  = 2 * time.Second
	lookupFresh = 30 * time.Second
	ownFresh    = time.Second
)
