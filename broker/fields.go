package broker

import (
	"fmt"
	"strings"

	"servicebroker/descriptor"
)

// field is what a parameter may have in parentheses.
type field struct {
	name string
	take func(*descriptor.Node) error
}

// readFields hands each child of n to the field it is called, and says so if there is none.
func readFields(n *descriptor.Node, fields []field) error {
	for _, child := range n.Children {
		f := fieldOf(child.Name, fields)
		if f == nil {
			return at(child, fmt.Errorf("%s does not belong there: %s", nameOr(child), oneMeant(child.Name, fieldNames(fields))))
		}
		if err := f.take(child); err != nil {
			return at(child, fmt.Errorf("%s: %w", f.name, err))
		}
	}
	return nil
}

func fieldOf(name string, fields []field) *field {
	for i := range fields {
		if strings.EqualFold(fields[i].name, name) {
			return &fields[i]
		}
	}
	return nil
}

func fieldNames(fields []field) []string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].name
	}
	return names
}

// nameOr is the node's name, or its value where it has none.
func nameOr(n *descriptor.Node) string {
	if n.Name != "" {
		return n.Name
	}
	return fmt.Sprintf("%q", n.Value)
}

// textField is a field that is a text.
func textField(name string, into *string) field {
	return field{name, func(n *descriptor.Node) error {
		if n.Value == "" {
			return errNoValue
		}
		*into = n.Value
		return nil
	}}
}

// intField is a field that is a whole number.
func intField(name string, least, most int, into *int) field {
	return field{name, func(n *descriptor.Node) error {
		return number(least, most, func(*Config) *int { return into })(nil, n)
	}}
}

// onOffField is a field that is on or off.
func onOffField(name string, into *bool) field {
	return field{name, func(n *descriptor.Node) error {
		return onOff(func(*Config) *bool { return into })(nil, n)
	}}
}

// addressField is a field that is an ADDRESS, or a list or DESCRIPTION with exactly one.
func addressField(name string, into *descriptor.Address) field {
	return field{name, func(n *descriptor.Node) error {
		if all := descriptor.Addresses(n); len(all) > 1 {
			return at(all[1], fmt.Errorf("a second address: write one %s for each", "STATIC_SERVICE"))
		}
		a, err := n.Address()
		if err != nil {
			return plain(err)
		}
		*into = a
		return checkAddress(a)
	}}
}

// checkAddress tells whether somebody can be dialled there.
func checkAddress(a descriptor.Address) error {
	switch p := strings.ToLower(a.Protocol); {
	case p != "tcp" && p != "tcps":
		return fmt.Errorf("PROTOCOL=%s cannot be dialled: use tcp or tcps", a.Protocol)
	case isUnspecified(a.Host):
		return fmt.Errorf("HOST=%s is no host that can be dialled: write the name or address of the instance's machine", a.Host)
	case a.Port == 0:
		return fmt.Errorf("PORT=0 cannot be dialled: write the port of the instance's listener")
	}
	return nil
}
