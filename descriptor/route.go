package descriptor

import "fmt"

// Route is a way through addresses as a descriptor writes it: one address, or ways of which one is gone, or ways that are
// gone one after the other (tns.md 11.1). The zero Route leads nowhere.
type Route struct {
	Address Address // where there are no Ways
	Ways    []Route
	InTurn  bool // SOURCE_ROUTE: one after the other; else one of them

	LoadBalance bool // of ways of which one is gone: in any order
	NoFailover  bool // … and no other if that fails

	list     bool // InTurn, and written as an ADDRESS_LIST of its own
	hopCount bool // … with a HOP_COUNT
}

const (
	maxRouteAddresses = 64               // of one route
	maxRouteLists     = defaultDepth - 3 // within each other: with DESCRIPTION around them, and in them ADDRESS and HOST, Parse reads what Nodes says
)

// What can be wrong with a route whose addresses are right.
var (
	ErrRouteTooLong = fmt.Errorf("the route has more than %d addresses: take some out", maxRouteAddresses)
	ErrRouteTooDeep = fmt.Errorf("the route has more than %d lists within each other: nest less deeply", maxRouteLists)
)

// ReadRoute reads the addresses under n, which may be an ADDRESS, an ADDRESS_LIST, a DESCRIPTION, a DESCRIPTION_LIST or
// any node with one of these in it. What is said about nothing but one list of addresses is said of those. The error is a
// *SyntaxError, ErrRouteTooLong or ErrRouteTooDeep.
func ReadRoute(n *Node) (Route, error) {
	count := 0
	return readRoute(n, Route{}, 0, &count)
}

// readRoute reads what is under n; above is what the levels above it say of its ways, lists how many of them have several.
func readRoute(n *Node, above Route, lists int, count *int) (Route, error) {
	if sameName(n.Name, "ADDRESS") {
		if *count++; *count > maxRouteAddresses {
			return Route{}, ErrRouteTooLong
		}
		return readStop(n)
	}
	r := above.at(n)
	var parts []*Node
	for _, child := range n.Children {
		if sameName(child.Name, "ADDRESS") || isAddressGroup(child) && len(Addresses(child)) > 0 {
			parts = append(parts, child)
		}
	}
	below := Route{}
	switch {
	case len(parts) == 0:
		return Route{}, nil
	case len(parts) == 1:
		return readRoute(parts[0], r, lists, count)
	case lists == maxRouteLists:
		return Route{}, ErrRouteTooDeep
	case sameName(n.Name, "DESCRIPTION_LIST"): // each is a way of its own
		below.InTurn, r.InTurn = r.InTurn, false
	}
	for _, part := range parts {
		way, err := readRoute(part, below, lists+1, count)
		if err != nil {
			return Route{}, err
		}
		r.Ways = append(r.Ways, way)
	}
	return r, nil
}

// readStop reads one address.
func readStop(n *Node) (Route, error) {
	a, err := n.Address()
	if err == nil && (a.Host == "" || a.Port == 0) {
		err = problemWith(n, "the ADDRESS leads to no other machine", "write (ADDRESS=(PROTOCOL=tcp)(HOST=name)(PORT=number))")
	}
	if err != nil {
		return Route{}, err
	}
	return Route{Address: a}, nil
}

// at is what n says of its ways, and what was said above where it says nothing.
func (r Route) at(n *Node) Route {
	if on, known := Truth(n.Text("SOURCE_ROUTE")); known {
		r.InTurn = r.InTurn || on
	}
	if on, known := Truth(n.Text("LOAD_BALANCE")); known {
		r.LoadBalance = on
	} else if sameName(n.Name, "DESCRIPTION_LIST") {
		r.LoadBalance = true
	}
	if on, known := Truth(n.Text("FAILOVER")); known {
		r.NoFailover = !on
	}
	r.list, r.hopCount = sameName(n.Name, "ADDRESS_LIST"), n.Child("HOP_COUNT") != nil
	return r
}

func isAddressGroup(n *Node) bool {
	return sameName(n.Name, "ADDRESS_LIST") || sameName(n.Name, "DESCRIPTION") || sameName(n.Name, "DESCRIPTION_LIST")
}

// Empty reports whether r leads nowhere.
func (r Route) Empty() bool { return len(r.Ways) == 0 && r.Address == (Address{}) }

// Chained reports whether anything of r is to be gone through one after the other.
func (r Route) Chained() bool {
	if r.InTurn && len(r.Ways) > 1 {
		return true
	}
	for _, way := range r.Ways {
		if way.Chained() {
			return true
		}
	}
	return false
}

// After returns what is left of r behind the first address that here tells of, and false if there is none.
func (r Route) After(here func(Address) bool) (rest Route, found bool) {
	if len(r.Ways) == 0 {
		return Route{}, !r.Empty() && here(r.Address)
	}
	for i, way := range r.Ways {
		if rest, found = way.After(here); found {
			if r.InTurn {
				rest = r.inTurn(rest, r.Ways[i+1:])
			}
			return rest, true
		}
	}
	return Route{}, false
}

// AfterFirst returns what is left of r behind its first address, whichever of several that is.
func (r Route) AfterFirst() Route {
	switch {
	case len(r.Ways) == 0:
		return Route{}
	case r.InTurn:
		return r.inTurn(r.Ways[0].AfterFirst(), r.Ways[1:])
	}
	left := r
	left.Ways = nil
	for _, way := range r.Ways {
		if rest := way.AfterFirst(); !rest.Empty() {
			left.Ways = append(left.Ways, rest)
		}
	}
	return left.simple()
}

// inTurn is r with other ways: first, if that leads anywhere, and then the others.
func (r Route) inTurn(first Route, others []Route) Route {
	r.Ways = nil
	switch {
	case first.Empty():
	case first.InTurn:
		r.Ways = append(r.Ways, first.Ways...)
	default:
		r.Ways = append(r.Ways, first)
	}
	r.Ways = append(r.Ways, others...)
	return r.simple()
}

// simple is r without a level that makes no difference.
func (r Route) simple() Route {
	switch len(r.Ways) {
	case 0:
		return Route{}
	case 1:
		only := r.Ways[0]
		if r.InTurn && len(only.Ways) == 0 { // as it was written, should more come before it
			only.list, only.hopCount = r.list, r.hopCount
		}
		return only
	}
	return r
}

// Step is one address to which a route leads next, and what is left of the route from there.
type Step struct {
	Address Address
	Rest    Route
	Turn    int // those of lower ones are to be tried first, those of the same one in any order
}

// Steps returns the addresses to which r leads next. pick chooses one of n where one has to be tried at random and no
// other; nil takes the first.
func (r Route) Steps(pick func(n int) int) []Step {
	switch {
	case r.Empty():
		return nil
	case len(r.Ways) == 0:
		return []Step{{Address: r.Address}}
	case r.InTurn:
		steps := r.Ways[0].Steps(pick)
		for i := range steps {
			steps[i].Rest = r.inTurn(steps[i].Rest, r.Ways[1:])
		}
		return steps
	case r.NoFailover:
		one := 0
		if r.LoadBalance && pick != nil {
			one = pick(len(r.Ways))
		}
		return r.Ways[one].Steps(pick)
	}
	var all []Step
	turn := 0
	for _, way := range r.Ways {
		steps := way.Steps(pick)
		last := turn
		for i := range steps {
			steps[i].Turn += turn
			last = max(last, steps[i].Turn)
		}
		if all = append(all, steps...); !r.LoadBalance {
			turn = last + 1
		}
	}
	return all
}

// Nodes returns what the DESCRIPTION for whoever is at the step's address says of its way: that address, and the rest of
// the route as if the route had begun there.
func (s Step) Nodes() []*Node {
	if s.Rest.Empty() {
		return []*Node{s.Address.Node()}
	}
	ways := []Route{{Address: s.Address}, s.Rest}
	if s.Rest.InTurn {
		ways = append(ways[:1], s.Rest.Ways...)
	}
	flat := s.Rest.InTurn || len(s.Rest.Ways) == 0
	nodes := []*Node{{Name: "SOURCE_ROUTE", Value: "yes"}}
	if flat && s.Rest.hopCount {
		nodes = append(nodes, &Node{Name: "HOP_COUNT", Value: "0"})
	}
	for _, way := range ways {
		nodes = append(nodes, way.node())
	}
	if flat && s.Rest.list {
		return []*Node{{Name: "ADDRESS_LIST", Children: nodes}}
	}
	return nodes
}

// node is r within a list.
func (r Route) node() *Node {
	if len(r.Ways) == 0 {
		return r.Address.Node()
	}
	n := &Node{Name: "ADDRESS_LIST"}
	switch {
	case r.InTurn:
		n.Set("SOURCE_ROUTE", "yes")
	case r.LoadBalance:
		n.Set("LOAD_BALANCE", "on")
	}
	if !r.InTurn && r.NoFailover {
		n.Set("FAILOVER", "off")
	}
	for _, way := range r.Ways {
		n.Add(way.node())
	}
	return n
}
