package consul

import "fmt"

// Occasion is why everything was compared with what Consul has.
type Occasion int

// Occasions of a comparison.
const (
	Never    Occasion = iota // there was none yet
	Routine                  // this broker writes, and had left all in order
	Began                    // this broker had just begun to write
	Returned                 // this broker writes, and Consul had been away: it may have forgotten
	Standing                 // another broker writes
)

// Look is what came of a comparison of everything.
type Look struct {
	Occasion Occasion
	// Entries is how many nodes and services were not as they should be: if Routine, those that others changed, removed or added
	// since this broker had left them; otherwise those that differ from its table.
	Entries int
}

// Looked returns what came of the last comparison. It waits for nobody.
func (c *Catalogue) Looked() Look {
	if look := c.look.Load(); look != nil {
		return *look
	}
	return Look{}
}

// Note says for people what came of a comparison; "" if there is nothing to say.
func (l Look) Note() string {
	if l.Entries == 0 {
		return ""
	}
	switch l.Occasion {
	case Routine:
		return fmt.Sprintf("%d entries that this broker had written were changed or removed by others, when it looked last, and were put right", l.Entries)
	case Began:
		return fmt.Sprintf("%d entries were written or removed when this broker began to write, to be as its table is", l.Entries)
	case Returned:
		return fmt.Sprintf("%d entries were written or removed when Consul was back, to be as this broker's table is", l.Entries)
	case Standing:
		return fmt.Sprintf("%d entries, which another broker keeps, are not as this broker's table would have them", l.Entries)
	}
	return ""
}

// judge says what a comparison is that finds Consul to be as now is, where before is what was known of it, and units have to be
// carried out.
func (c *Catalogue) judge(before, now state, units int) Look {
	switch {
	case c.intact:
		return Look{Routine, before.changedBy(now, c.Client.owner())}
	case c.away && c.written:
		return Look{Returned, units}
	}
	return Look{Began, units}
}

// changedBy returns in how many entries of ours now is not what s was; none if that cannot be seen.
func (s state) changedBy(now state, owner string) (n int) {
	if s.hidden || now.hidden {
		return 0
	}
	for name, was := range s.nodes {
		if was.owner == owner && now.nodes[name] != was {
			n++
		}
	}
	for name, is := range now.nodes {
		if _, was := s.nodes[name]; is.owner == owner && !was {
			n++
		}
	}
	for at, was := range s.services {
		is, there := now.services[at]
		is.Detail = was.Detail
		if !there || is != was {
			n++
		}
	}
	for at := range now.services {
		if _, was := s.services[at]; !was {
			n++
		}
	}
	return n
}
