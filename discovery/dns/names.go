package dns

import (
	"maps"
	"slices"
	"strings"

	"servicebroker/discovery"
)

// Names of services, instances and nodes become DNS names by one rule: dots divide labels, each label is made safe (discovery.Label),
// and a service's domain goes where it is the zone.

// maxName is how long a name of ours may be within the zone, so that zone and prefixes fit into 255.
const maxName = 180

// safe returns text as a relative DNS name.
func safe(text string) string {
	var labels []string
	for label := range strings.SplitSeq(text, ".") {
		if label = discovery.Label(label); label != "" {
			labels = append(labels, label)
		}
	}
	name := strings.Join(labels, ".")
	switch {
	case name == "":
		return discovery.Hashed("x", text)
	case len(name) > maxName:
		return discovery.Hashed(labels[0], text)
	}
	return name
}

// rule names what of a zone.
func rule(what, zone string, reserved func(string) bool) discovery.Rule {
	return discovery.Rule{What: what, Reserved: reserved, Name: func(text string) string {
		name := safe(text)
		if rest, inZone := strings.CutSuffix("."+name, "."+strings.TrimSuffix(zone, ".")); inZone && rest != "" {
			return rest[1:]
		}
		return name
	}}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
