package broker

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uber-go/tally/v4"

	"servicebroker/descriptor"
)

// Bounds on what names may become labels. Those who can register can make up names.
const (
	maxServiceLabels = 200
	maxServiceNames  = 10_000 // that are known to mean one of them
	maxLabelBytes    = 128
	serviceMemory    = 24 * time.Hour // a service that is away so long is forgotten
)

// Labels that stand for services which have none of their own.
const (
	labelOther   = "other"   // registered, beyond the first 200
	labelUnknown = "unknown" // asked for, and not registered
	labelNone    = "none"    // nothing was asked for, or it could not be read

	labelRouted = "(routed)" // a route leads on by a name that is not registered here
	labelAlias  = "(alias="  // begins those of aliases
)

// connectKey tells connects for one service apart.
type connectKey struct{ route, outcome, code string }

// serviceCounts counts the connects for one service, or for all that share a label.
type serviceCounts struct {
	label               string
	relayed, redirected atomic.Pointer[counted] // the usual ones of all below; nil until there was one

	mu  sync.RWMutex
	all map[connectKey]*counted

	seen atomic.Int64 // when it was last in the table or asked for, nanoseconds since 1970
}

// counted is a counter and what is to be closed with it.
type counted struct {
	tally.Counter
	scope tally.Scope
}

// serviceLabels knows under which label connects for a service are counted. The first 200
// services that somebody connects to get one of their own. It keeps one for each until the
// service has been away for a day.
type serviceLabels struct {
	scope tally.Scope

	mu     sync.RWMutex
	byName map[string]*serviceCounts // as it was written
	labels map[string]*serviceCounts
	shared map[string]*serviceCounts // other, unknown, none
}

func newServiceLabels(scope tally.Scope) *serviceLabels {
	n := &serviceLabels{scope: scope, byName: map[string]*serviceCounts{}, labels: map[string]*serviceCounts{}, shared: map[string]*serviceCounts{}}
	for _, label := range []string{labelOther, labelUnknown, labelNone, labelRouted} {
		n.shared[label] = newCounts(label)
	}
	return n
}

func newCounts(label string) *serviceCounts {
	return &serviceCounts{label: label, all: map[connectKey]*counted{}}
}

// counter returns the counter for k, and makes it if it is the first time.
func (n *serviceLabels) counter(s *serviceCounts, k connectKey) *counted {
	s.mu.RLock()
	c := s.all[k]
	s.mu.RUnlock()
	if c != nil {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c = s.all[k]; c == nil {
		scope := n.scope.Tagged(map[string]string{"service": s.label, "route": k.route, "outcome": k.outcome, "code": k.code})
		c = &counted{scope.Counter("connects_total"), scope}
		s.all[k] = c
	}
	return c
}

// find returns the counts of a name that was registered once, nil for any other.
func (n *serviceLabels) find(name string) *serviceCounts {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byName[name]
}

// labelled returns the counts of a service that has a label, by any form of its name; nil for
// any other.
func (n *serviceLabels) labelled(name string) *serviceCounts {
	label := serviceLabel(name)
	short, _, qualified := strings.Cut(label, ".")
	n.mu.RLock()
	defer n.mu.RUnlock()
	if s := n.labels[label]; s != nil {
		return s
	}
	if qualified {
		return n.labels[short]
	}
	var found *serviceCounts
	for other, s := range n.labels {
		if short, _, _ = strings.Cut(other, "."); short == label {
			if found != nil {
				return nil // it could be either
			}
			found = s
		}
	}
	return found
}

// of returns the counts of a registered service.
func (n *serviceLabels) of(name string) *serviceCounts {
	if s := n.find(name); s != nil {
		return s
	}
	label := serviceLabel(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.labels[label]
	switch {
	case s != nil:
	case label == labelRouted:
		s = n.shared[labelRouted]
	case len(n.labels) < maxServiceLabels:
		s = newCounts(label)
		n.labels[label] = s
	default:
		s = n.shared[labelOther]
	}
	if len(n.byName) < maxServiceNames {
		n.byName[strings.Clone(name)] = s
	}
	s.seen.Store(time.Now().UnixNano())
	return s
}

// serviceLabel is a name in lower case, fit for a label.
func serviceLabel(name string) string {
	return descriptor.Escape(strings.ToValidUTF8(strings.ToLower(name[:min(len(name), maxLabelBytes)]), "?"))
}

// count counts a connect.
func (n *serviceLabels) count(s *serviceCounts, k connectKey) {
	var usual *atomic.Pointer[counted]
	switch {
	case k.outcome != "served":
	case k.route == "relay":
		usual = &s.relayed
	case k.route == "redirect":
		usual = &s.redirected
	}
	if usual == nil {
		n.counter(s, k).Inc(1)
		return
	}
	c := usual.Load()
	if c == nil {
		c = n.counter(s, k)
		usual.Store(c)
	}
	c.Inc(1)
}

// own lists the services that have a label of their own.
func (n *serviceLabels) own() []*serviceCounts {
	n.mu.RLock()
	defer n.mu.RUnlock()
	all := make([]*serviceCounts, 0, len(n.labels))
	for _, s := range n.labels {
		all = append(all, s)
	}
	return all
}

// forget gives back the labels of services that are away for too long, and returns them.
func (n *serviceLabels) forget(now time.Time) (gone []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for label, s := range n.labels {
		if now.Sub(time.Unix(0, s.seen.Load())) <= serviceMemory {
			continue
		}
		gone = append(gone, label)
		delete(n.labels, label)
		s.mu.Lock()
		for _, c := range s.all {
			if closer, can := c.scope.(interface{ Close() error }); can {
				_ = closer.Close()
			}
		}
		s.mu.Unlock()
	}
	if len(gone) > 0 { // whoever is there is found again; those that shared a label may have their own now
		clear(n.byName)
		for label, s := range n.labels {
			n.byName[label] = s
		}
	}
	return gone
}
