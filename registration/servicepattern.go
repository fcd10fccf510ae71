package registration

import (
	"strings"

	"servicebroker/servicetable"
)

// servicePattern is a service's name in which * stands for any text.
type servicePattern struct {
	full  string
	short string // the part before its domain; "" if it has none, or nothing but * before it
}

// serviceName is a name to compare with patterns, with and without its domain.
type serviceName struct{ full, short string }

func newServiceName(text string) serviceName {
	full := servicetable.Fold(text)
	return serviceName{full: full, short: withoutDomain(full)}
}

// newServicePattern reads a pattern; false if it is empty.
func newServicePattern(text string) (p servicePattern, ok bool) {
	name := newServiceName(strings.Trim(text, " \t\r\n\"'"))
	p.full = name.full
	if name.short != name.full && strings.Trim(name.short, "*") != "" {
		p.short = name.short
	}
	return p, name.full != ""
}

// matches tells whether a client that means the pattern could be given the service
// name: names count with and without their domain.
func (p servicePattern) matches(name serviceName) bool {
	return servicetable.Glob(p.full, name.full) || servicetable.Glob(p.full, name.short) ||
		p.short != "" && name.short == name.full && servicetable.Glob(p.short, name.short)
}

// withoutDomain returns name up to its first dot that does not begin it.
func withoutDomain(name string) string {
	for i := 1; i < len(name); i++ {
		if name[i] == '.' {
			return name[:i]
		}
	}
	return name
}
