package consul

import (
	"net/url"
	"strings"
)

// plain makes of a text that is safe in URLs one that every server takes in a key. Version 1.21.5 refuses all but letters, digits and
// ,_./-?&= there; later ones refuse what looks like a way to another key.
var plain = strings.NewReplacer("%", "&", "+", "&20", "~", "&7E", "..", ".&2E")

// segment is a name as the last part of a key.
func segment(name string) string { return plain.Replace(url.QueryEscape(name)) }

// nameOf is the name whose segment is given; false if there is none.
func nameOf(segment string) (string, bool) {
	name, err := url.QueryUnescape(strings.ReplaceAll(segment, "&", "%"))
	return name, err == nil && name != ""
}
