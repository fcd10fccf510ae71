package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// Routes is what the configuration says of where connects go that are not left to the
// table, and of what they ask for. A client's own SOURCE_ROUTE goes before all of it,
// NextHop before Aliases, and those before the table.
type Routes struct {
	NextHop        *descriptor.Node            // where everything goes that is let in; nil: by service
	Aliases        map[string]*descriptor.Node // what service names stand for, by name; nil: nothing
	SIDIsService   bool                        // a SID that is no instance's is a service's name
	DefaultService string                      // what is asked for by whoever names nothing; "" : that is an error

	names map[string]alias // by folded name, with and without domain
}

// alias is what one name stands for.
type alias struct {
	name string // as the file has it; "" : it is ambiguous
	node *descriptor.Node
}

// CompileRoutes prepares routes for use. It does not change r, nor does anything later.
func CompileRoutes(r Routes) *Routes {
	r.names = map[string]alias{}
	for name, node := range r.Aliases {
		r.names[fold(name)] = alias{name, node}
	}
	for name, node := range r.Aliases {
		short, _, qualified := strings.Cut(fold(name), ".")
		if _, exact := r.Aliases[strings.ToUpper(short)]; exact || !qualified {
			continue
		}
		if _, several := r.names[short]; several {
			r.names[short] = alias{}
		} else {
			r.names[short] = alias{name, node}
		}
	}
	return &r
}

// alias finds what a service's name stands for, as the table finds services: a name with a
// domain finds the alias without one, a name without one that with the only domain there is.
func (r *Routes) alias(service string) (alias, bool) {
	for _, name := range []string{service, shortOf(service)} {
		if a, known := r.names[fold(name)]; known && a.name != "" && (name == service || !strings.Contains(a.name, ".")) {
			return a, true
		}
	}
	return alias{}, false
}

// leads tells whether the configuration has a way for a service that is not left to the table.
func (r *Routes) leads(service string) bool {
	_, known := r.alias(service)
	return known || r.NextHop != nil
}

func shortOf(name string) string {
	short, _, _ := strings.Cut(name, ".")
	return short
}

// way is where a connect goes that is not left to the table.
type way struct {
	by    string // what says so: SOURCE_ROUTE, NEXT_HOP or an alias
	named bool   // the client says so, and nobody else
	asked string // service or SID
	legs  []leg
}

// leg is one address to which a way leads, and how to go on there.
type leg struct {
	descriptor.Step
	data *descriptor.Node // the CONNECT_DATA of an alias; nil: what the client sent
}

// String tells of the way as people read it.
func (w *way) String() string {
	if w == nil {
		return ""
	}
	texts := make([]string, len(w.legs))
	for i := range w.legs {
		texts[i] = strings.Join(append([]string{w.legs[i].Address.HostPort()}, stops(w.legs[i].Rest)...), ", then ")
	}
	return w.by + ": " + strings.Join(texts, ", or ")
}

// stops are the addresses of a route, one after the other.
func stops(r descriptor.Route) []string {
	switch {
	case r.Empty():
		return nil
	case len(r.Ways) == 0:
		return []string{r.Address.HostPort()}
	}
	var texts []string
	for _, w := range r.Ways {
		texts = append(texts, stops(w)...)
	}
	if r.InTurn {
		return texts
	}
	return []string{strings.Join(texts, " or ")}
}

// errBadRoute is a SOURCE_ROUTE through something that is no address.
var errBadRoute = errors.New("the route of the descriptor cannot be gone")

// interpret finds out what a descriptor asks for and which way it is to go.
func (s *Server) interpret(d *dialogue) error {
	d.way, d.passing = nil, relayed(d.connect)
	routes := s.routes()
	var rest descriptor.Route
	if descriptor.SourceRoute(d.asked) {
		var err error
		if d.asked, rest, err = s.fromHere(d.asked); err != nil {
			return fmt.Errorf("%w: %v", errBadRoute, inWords(err))
		}
		d.passing = true
	}
	q, err := question(d.asked)
	if errors.Is(err, errNoServiceName) && routes.DefaultService != "" {
		q.Service, err = routes.DefaultService, nil
	}
	if routes.SIDIsService && q.Service == "" && !s.knowsInstance(q) {
		q.Service, q.SID = q.SID, ""
	}
	q.ArrivedOn = d.arrived
	d.query = q
	if err != nil && !errors.Is(err, errNoServiceName) {
		return err
	}
	if !rest.Empty() {
		d.way = &way{by: "SOURCE_ROUTE", named: true, asked: asksFor(q)}
		d.way.add(rest, nil)
		return nil
	}
	if err := s.configuredWay(d, routes); err != nil || d.way != nil {
		return err
	}
	return err
}

func (s *Server) routes() *Routes {
	if s.Routes != nil {
		if r := s.Routes(); r != nil {
			return r
		}
	}
	return &Routes{}
}

// configuredWay finds the way that the configuration has for a connect, if it has one.
func (s *Server) configuredWay(d *dialogue, routes *Routes) error {
	if routes.NextHop != nil {
		w := &way{by: "NEXT_HOP", asked: asksFor(d.query)}
		if err := s.addAll(w, routes.NextHop, false); err != nil {
			return err
		}
		if len(w.legs) > 0 {
			d.way = w
			return nil
		}
	}
	if d.query.Service == "" {
		return nil
	}
	a, known := routes.alias(d.query.Service)
	if !known {
		return nil
	}
	w := &way{by: "alias " + a.name, asked: asksFor(d.query)}
	err := s.addAll(w, a.node, true)
	if len(w.legs) > 0 { // else it leads here: the table knows
		d.way = w
	}
	return err
}

// addAll adds the ways of each description of a file's entry: where this broker is on the
// way itself, from there on.
func (s *Server) addAll(w *way, n *descriptor.Node, connectData bool) error {
	for _, description := range descriptionsOf(n) {
		route, err := descriptor.ReadRoute(description)
		if err != nil {
			return fmt.Errorf("%w: %s: %v", errBadRoute, w.by, inWords(err))
		}
		if rest, here := route.After(s.hereWithin()); here {
			route = rest
		}
		var data *descriptor.Node
		if connectData {
			data = descriptor.ConnectData(description)
		}
		w.add(route, data)
	}
	return nil
}

// add adds the addresses to which a route leads next, to be tried after those that are there.
func (w *way) add(route descriptor.Route, data *descriptor.Node) {
	turn := 0
	if n := len(w.legs); n > 0 {
		turn = w.legs[n-1].Turn + 1
	}
	for _, step := range route.Steps(rand.IntN) {
		if len(w.legs) >= maxLegs {
			return
		}
		step.Turn += turn
		w.legs = append(w.legs, leg{step, data})
	}
}

// descriptionsOf are the DESCRIPTIONs of a DESCRIPTION_LIST, or else the node itself.
func descriptionsOf(n *descriptor.Node) []*descriptor.Node {
	list := n
	if !strings.EqualFold(n.Name, "DESCRIPTION_LIST") {
		list = n.Child("DESCRIPTION_LIST")
	}
	if all := list.All("DESCRIPTION"); len(all) > 0 {
		return all
	}
	return []*descriptor.Node{n}
}

// fromHere finds the description of a client's descriptor that leads through this broker, and
// what is left of its route from here. Clients may have dialled any hop of it
// (tns.md 11.1); where none of them is known to be here, it is the first.
func (s *Server) fromHere(asked *descriptor.Node) (*descriptor.Node, descriptor.Route, error) {
	var routes []descriptor.Route
	descriptions := descriptionsOf(asked)
	here := s.hereWithin()
	for _, description := range descriptions {
		route, err := descriptor.ReadRoute(description)
		if err != nil {
			return asked, route, err
		}
		if rest, found := route.After(here); found {
			return description, rest, nil
		}
		routes = append(routes, route)
	}
	for i, route := range routes {
		if route.Chained() {
			return descriptions[i], route.AfterFirst(), nil
		}
	}
	return descriptions[0], descriptor.Route{}, nil
}

// hereWithin tells this broker's own addresses, as far as name services say what they mean
// within the time that a connect may wait for them.
func (s *Server) hereWithin() func(descriptor.Address) bool {
	until := time.Now().Add(resolveBudget)
	return func(a descriptor.Address) bool {
		return s.Own != nil && time.Now().Before(until) && s.Own(a.Host, a.Port)
	}
}

// knowsInstance tells whether the SID of q is that of an instance, or was lately.
func (s *Server) knowsInstance(q servicetable.Query) bool {
	if q.SID == "" {
		return true
	}
	if _, err := s.Snapshot().Match(q); !errors.Is(err, servicetable.ErrUnknownSID) {
		return true
	}
	return s.Lately != nil && len(s.Lately(q)) > 0
}

// inWords is a syntax error for people who do not see the descriptor's lines.
func inWords(err error) error {
	var syntax *descriptor.SyntaxError
	if errors.As(err, &syntax) {
		return errors.New(syntax.Problem + ": " + syntax.Remedy)
	}
	return err
}
