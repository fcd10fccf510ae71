package broker

import (
	"os"
	"slices"
	"strings"

	"servicebroker/descriptor"
)

// isInstance tells the assignments that are a broker from those that stand beside.
func (r *reader) isInstance(a *assignment, all []*assignment) bool {
	if isSection(a.Name) || a.partOf(all) != nil {
		return false
	}
	if strings.EqualFold(a.Name, "CONFIGURATION") || a.Child("CONFIGURATION") != nil {
		return true
	}
	return r.known.find(a.Name) == nil && a.Child("CONNECT_DATA") == nil && (a.Child("ADDRESS") != nil || a.Child("ADDRESS_LIST") != nil)
}

// isSection tells whether the name is that of a part of CONFIGURATION.
func isSection(name string) bool {
	switch strings.ToUpper(name) {
	case "RULE_LIST", "RULE_GROUP", "PARAMETER_LIST":
		return true
	}
	return isAddressSection(name)
}

// partOf returns the instance whose addresses for administration, rules or parameters these
// are, in the form of Oracle 9i: CMAN_ADMIN, CMAN_RULES, CMAN_PROFILE beside CMAN.
func (a *assignment) partOf(all []*assignment) *assignment {
	for _, suffix := range []string{"_ADMIN", "_RULES", "_PROFILE"} {
		base, is := strings.CutSuffix(strings.ToUpper(a.Name), suffix)
		if !is || a.Child("CONFIGURATION") != nil {
			continue
		}
		for _, other := range all {
			if strings.EqualFold(other.Name, base) {
				return other
			}
		}
	}
	return nil
}

// choose finds the instance to run: the named one, CMAN_<hostname>, or the only
// one that is a configuration.
func (r *reader) choose(all []*assignment, instance string) *assignment {
	var instances []*assignment
	var names []string
	r.instances = map[*assignment]bool{}
	for _, a := range all {
		if r.isInstance(a, all) {
			r.instances[a] = true
			instances = append(instances, a)
			names = append(names, a.Name)
		}
	}
	r.file = r.config.File
	wanted := instance
	host, _ := os.Hostname()
	if wanted == "" {
		wanted = "CMAN_" + host
	}
	for _, fits := range []func(a, b string) bool{strings.EqualFold, func(a, b string) bool { return instance == "" && strings.EqualFold(shortOf(a), shortOf(b)) }} {
		if found := r.only(instances, wanted, fits); found != nil {
			return found
		}
	}
	switch {
	case len(instances) == 0 && hasOthers(all):
		r.say(nil, SeverityError, "no instance in the file, which looks like a listener.ora or tnsnames.ora: make a cman.ora of it with broker convert %s", r.file)
	case len(instances) == 0 && r.sayMisspelt(all):
	case len(instances) == 0:
		r.say(nil, SeverityError, "no instance in the file: write NAME = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))(RULE_LIST=…))")
	case instance != "":
		r.say(nil, SeverityError, "no instance %q in the file, which has %s: did you mean %s?", instance, strings.Join(names, ", "), nearest(instance, names))
	case len(instances) == 1:
		return instances[0]
	case allCalled(instances[0].Name, names):
		return r.only(instances, names[0], strings.EqualFold)
	default:
		r.say(nil, SeverityError, "the file has several instances, none of them called %s: name one of %s after the file", wanted, strings.Join(names, ", "))
	}
	return nil
}

// sayMisspelt says which group is meant to be a CONFIGURATION, or its ADDRESS, if one is.
func (r *reader) sayMisspelt(all []*assignment) bool {
	for _, a := range all {
		for _, n := range append([]*descriptor.Node{a.Node}, a.Children...) {
			if meant := misspelt(n); meant != "" && !strings.EqualFold(n.Name, meant) {
				r.file = a.file
				r.say(n, SeverityError, "%s: did you mean %s?", n.Name, meant)
				return true
			}
		}
	}
	return false
}

// hasOthers tells whether there is something of a listener.ora or a tnsnames.ora.
func hasOthers(all []*assignment) bool {
	for _, a := range all {
		if strings.HasPrefix(strings.ToUpper(a.Name), "SID_LIST_") || len(connectDatas(a.Node)) > 0 {
			return true
		}
	}
	return false
}

// connectDatas are all CONNECT_DATA at or below n.
func connectDatas(n *descriptor.Node) []*descriptor.Node {
	if strings.EqualFold(n.Name, "CONNECT_DATA") {
		return []*descriptor.Node{n}
	}
	var all []*descriptor.Node
	for _, child := range n.Children {
		all = append(all, connectDatas(child)...)
	}
	return all
}

func allCalled(name string, names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !strings.EqualFold(n, name) })
}

func shortOf(name string) string {
	short, _, _ := strings.Cut(name, ".")
	return short
}

// only returns the first instance whose name fits, and says so if there are more.
func (r *reader) only(instances []*assignment, wanted string, fits func(a, b string) bool) (found *assignment) {
	for _, a := range instances {
		switch {
		case !fits(a.Name, wanted):
		case found == nil:
			found = a
		default:
			r.file = a.file
			r.say(a.Node, SeverityWarning, "%s is there twice, and only the one at %s:%d counts: rename or take out this one", a.Name, found.file, found.Line)
		}
	}
	return found
}

// readBeside reads what stands beside the instances: parameters for all of them or, with its
// name at their end, for the chosen one, and the parts of an Oracle 9i configuration.
func (r *reader) readBeside(a, chosen *assignment, all []*assignment) {
	switch whole := a.partOf(all); {
	case r.instances[a]:
	case whole == chosen:
		r.readPart(a)
	case whole != nil:
	case isSection(a.Name):
		r.say(a.Node, SeverityWarning, "%s stands outside of the instances, and is read as part of %s: move it into its CONFIGURATION", a.Name, chosen.Name)
		r.readSection(a.Node)
	case r.belongsToOther(a, chosen):
	case a.Child("DESCRIPTION") != nil, a.Child("CONNECT_DATA") != nil, a.Child("DESCRIPTION_LIST") != nil:
		if r.known.find(a.Name) == nil {
			r.say(a.Node, SeverityNotice, "%s is an alias for clients and has no effect here: move it into the tnsnames.ora beside this file", a.Name)
			return
		}
		r.readParameter(a.Node)
	default:
		r.readParameter(a.Node)
	}
}

// belongsToOther tells whether the parameter ends in the name of another instance.
func (r *reader) belongsToOther(a, chosen *assignment) bool {
	name := strings.ToUpper(a.Name)
	for other := range r.instances {
		if other != chosen && strings.HasSuffix(name, "_"+strings.ToUpper(other.Name)) && !strings.HasSuffix(name, "_"+strings.ToUpper(chosen.Name)) {
			return true
		}
	}
	return false
}

// readPart reads a part of an Oracle 9i configuration.
func (r *reader) readPart(a *assignment) {
	name := strings.ToUpper(a.Name)
	if strings.HasSuffix(name, "_ADMIN") {
		r.say(a.Node, SeverityNotice, "%s has no effect here: administration goes over ADMIN_SOCKET", a.Name)
		return
	}
	section := "PARAMETER_LIST"
	if strings.HasSuffix(name, "_RULES") {
		section, r.oracle9i = "RULE_LIST", true
		defer func() { r.oracle9i = false }()
	}
	r.say(a.Node, SeverityNotice, "%s is how Oracle 9i wrote it, and is read as %s: move it into CONFIGURATION", a.Name, section)
	if inner := a.Child(section); inner != nil {
		r.readSections(a.Node)
		return
	}
	r.readSection(&descriptor.Node{Name: section, Children: groups(a.Node), Line: a.Line, Column: a.Column})
}
