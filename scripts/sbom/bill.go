package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// The parts of a CycloneDX document that are used.
type (
	document struct {
		BOMFormat    string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version,omitempty"`
		PURL       string     `json:"purl,omitempty"`
		Licences   []licence  `json:"licenses,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	licence struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

// own is what the bill is of.
const own = "servicebroker"

// bill is the bill of materials: the same for the same modules.
func bill(modules []*module, version string) ([]byte, error) {
	d := document{BOMFormat: "CycloneDX", SpecVersion: "1.5", Version: 1, Metadata: metadata{component{Type: "application", Ref: own, Name: own, Version: version, Licences: licencesOf("Apache-2.0")}}}
	purls := map[string]string{}
	for _, m := range modules {
		purls[m.Path] = "pkg:golang/" + m.Path + "@" + m.Version
	}
	top := dependency{Ref: own, DependsOn: []string{}}
	for _, m := range modules {
		purl := purls[m.Path]
		c := component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl, Licences: licencesOf(m.licences...)}
		if m.Sum != "" {
			c.Properties = []property{{"go:sum", m.Sum}}
		}
		d.Components = append(d.Components, c)
		on := []string{}
		for _, path := range slices.Sorted(maps.Keys(m.needs)) {
			on = append(on, purls[path])
		}
		d.Dependencies = append(d.Dependencies, dependency{purl, on})
		top.DependsOn = append(top.DependsOn, purl)
	}
	d.Dependencies = append([]dependency{top}, d.Dependencies...)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return out.Bytes(), err
}

func licencesOf(names ...string) (all []licence) {
	for _, name := range names {
		var l licence
		l.License.ID = name
		all = append(all, l)
	}
	return all
}
