package broker

import (
	"slices"
	"sort"
	"strings"

	"servicebroker/descriptor"
)

// ParameterKind says what becomes of a parameter.
type ParameterKind string

// The kinds of parameter.
const (
	KindOracle   ParameterKind = "Oracle's" // means what it means to Oracle
	KindMapped   ParameterKind = "mapped"   // Oracle's, turned into something of ours; a notice says into what
	KindReplaced ParameterKind = "replaced" // Oracle's, of no effect here; a notice names what takes its place
	KindOurs     ParameterKind = "ours"
)

// Parameter is one entry of PARAMETER_LIST that this broker knows.
type Parameter struct {
	Name    string // upper case; one that ends in * is a family of names
	Kind    ParameterKind
	Default string
	Unit    string // of plain numbers
	Range   string // or the words it takes
	Meaning string // for KindMapped what it becomes, for KindReplaced what takes its place
	Cost    string // what turning it costs
	Live    bool   // a reload puts it in force; else it waits for an upgrade or a restart
	// Pending says that the parameter is read and checked while nothing acts on it yet,
	// and a notice says so. Whoever makes something act on it deletes this from the row.
	Pending    bool
	Repeatable bool // else the last one counts
	Secret     bool // its value is shown to nobody

	severity Severity // of the notice of a mapped or replaced one; empty: SeverityNotice
	set      func(*Config, *descriptor.Node) error
}

// Parameters returns all parameters that this version knows, by name. Times are seconds
// unless the unit says otherwise, and may carry ms, s, min or h.
func Parameters() []Parameter {
	all := slices.Concat(connectParameters(), routeParameters(), limitParameters(), registrationParameters(), tlsParameters(),
		addressParameters(), consulParameters(), dnsParameters(), logParameters(), oracleParameters(), privilegeParameters(), replacedParameters())
	sort.SliceStable(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// parameterIndex finds parameters by name.
type parameterIndex struct {
	exact    map[string]*Parameter // by name in upper case
	families []*Parameter
	names    []string // of exact, sorted, so that the same one of several is nearest each time
}

func newParameterIndex() *parameterIndex {
	all := Parameters()
	x := &parameterIndex{exact: make(map[string]*Parameter, len(all))}
	for i := range all {
		if strings.HasSuffix(all[i].Name, "*") {
			x.families = append(x.families, &all[i])
		} else {
			x.exact[all[i].Name] = &all[i]
			x.names = append(x.names, all[i].Name)
		}
	}
	return x
}

// find finds a parameter by name, in any case; one that is named outright goes before a
// family.
func (x *parameterIndex) find(name string) *Parameter {
	name = strings.ToUpper(name)
	if p := x.exact[name]; p != nil {
		return p
	}
	for _, p := range x.families {
		if family := strings.TrimSuffix(p.Name, "*"); strings.HasPrefix(name, family) {
			return p
		}
	}
	return nil
}

// findOf finds a parameter whose name may end in _ and the name of the instance, as
// listener.ora has them.
func (x *parameterIndex) findOf(name, instance string) *Parameter {
	if base, is := strings.CutSuffix(strings.ToUpper(name), "_"+strings.ToUpper(instance)); is && instance != "" {
		if p := x.exact[base]; p != nil {
			return p
		}
	}
	return x.find(name)
}

// of tells of which parameter and which instance a name with an instance at its end is.
func (x *parameterIndex) of(name string) (p *Parameter, instance string) {
	for i, c := range name {
		if c != '_' {
			continue
		}
		if longer := x.exact[strings.ToUpper(name[:i])]; longer != nil {
			p, instance = longer, name[i+1:]
		}
	}
	return p, instance
}

// parameter is find for who asks once.
func parameter(name string) *Parameter { return newParameterIndex().find(name) }

// pending tells whether nothing acts on the named parameter yet.
func pending(name string) bool {
	p := parameter(name)
	return p != nil && p.Pending
}

// quiet tells whether a parameter that has no effect here asks for none.
func (p *Parameter) quiet(n *descriptor.Node) bool {
	if len(n.Children) > 0 {
		return false
	}
	on, known := descriptor.Truth(n.Value)
	return n.Value == "" || known && !on || strings.EqualFold(n.Value, "none")
}
