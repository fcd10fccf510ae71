package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Of the modules that are linked none has a licence that it may not have, and the page lists them.
func TestDependencies(t *testing.T) {
	modules, err := linked("../..")
	must(t, err)
	must(t, allowed(modules))
	o := order{source: "../..", check: true}
	must(t, o.table(modules))
	if len(modules) < 20 || !slices.ContainsFunc(modules, func(m *module) bool { return m.Path == "github.com/miekg/dns" && m.Sum != "" }) {
		t.Errorf("there are %d modules, and none of DNS with a sum", len(modules))
	}
}

func TestRecognise(t *testing.T) {
	for text, want := range map[string]string{
		"Permission is hereby granted, free of charge,\n to any person obtaining a copy":                                          "MIT",
		"  Apache License\n   Version 2.0, January 2004":                                                                          "Apache-2.0",
		"Redistribution and use in source and binary forms … Neither the name of":                                                 "BSD-3-Clause",
		"Redistribution and use in source and binary forms … THIS SOFTWARE IS PROVIDED":                                           "BSD-2-Clause",
		"Redistribution and use in source and binary forms … All advertising materials":                                           "BSD-4-Clause",
		"Mozilla Public License, version 2.0 … the GNU General Public License":                                                    "MPL-2.0",
		"Mozilla Public License Version 1.1":                                                                                      "MPL",
		"GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3":                                                                            "AGPL",
		"GNU GENERAL PUBLIC LICENSE\nVersion 2 … free of charge":                                                                  "GPL",
		"GNU Lesser General Public License":                                                                                       "LGPL",
		"All rights reserved.":                                                                                                    "",
		"Permission is hereby granted, free of charge, to any person obtaining a copy … Apache License Version 2.0, January 2004": "Apache-2.0 MIT",
	} {
		if got := strings.Join(recognise(text), " "); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// Copyleft, what is not known, and what has no text at all are named.
func TestForbidden(t *testing.T) {
	err := allowed([]*module{
		{Path: "a", licences: []string{"MIT"}}, {Path: "b", licences: []string{"AGPL"}}, {Path: "c", licences: []string{"MIT", "GPL"}},
		{Path: "d", files: []string{"LICENSE"}}, {Path: "e", licences: []string{"BSD-4-Clause"}},
	})
	if err == nil {
		t.Fatal("all are allowed")
	}
	for _, want := range []string{"b : its licence AGPL", "c : its licence GPL", "d : no licence that is known", "e : its licence BSD-4-Clause"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "a :") {
		t.Error(err)
	}
}

// world is a module with a licence above and another one beside a package.
func world(t *testing.T) *module {
	t.Helper()
	m := &module{Path: "example.com/m", Version: "v1.2.3", Dir: t.TempDir(), Sum: "h1:x", needs: map[string]bool{}}
	for name, text := range map[string]string{
		"LICENSE": "Permission is hereby granted, free of charge, to any person obtaining a copy", "NOTICE": "made by somebody",
		"inner/LICENSE.md": "Redistribution and use in source and binary forms", "inner/license.go": "package inner", "other/COPYING": "GNU General Public License",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(m.Dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(m.Dir, name), []byte(text), 0o644))
	}
	must(t, m.collect(filepath.Join(m.Dir, "inner")))
	must(t, m.read())
	return m
}

func TestLicencesOfPackages(t *testing.T) {
	m := world(t)
	if got := strings.Join(m.files, " "); got != "LICENSE NOTICE inner/LICENSE.md" {
		t.Errorf("files are %s", got)
	}
	if got := strings.Join(m.licences, " "); got != "BSD-2-Clause MIT" {
		t.Errorf("licences are %s", got)
	}
	text, err := notices(".", []*module{m, {Path: "example.com/same", Version: "v2.0.0", Dir: m.Dir, files: []string{"LICENSE"}}})
	must(t, err)
	for _, want := range []string{"example.com/m v1.2.3 (LICENSE)\nexample.com/same v2.0.0 (LICENSE)\n\nPermission is hereby", "example.com/m v1.2.3 (NOTICE)", "the Go standard library"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in the notices", want)
		}
	}
}

func TestBill(t *testing.T) {
	m := world(t)
	m.needs["example.com/other"] = true
	text, err := bill([]*module{m, {Path: "example.com/other", Version: "v0.1.0", licences: []string{"ISC"}}}, "1.2.3")
	must(t, err)
	var d document
	must(t, json.Unmarshal(text, &d))
	if d.Metadata.Component.Version != "1.2.3" || len(d.Components) != 2 || d.Components[0].PURL != "pkg:golang/example.com/m@v1.2.3" || d.Components[0].Licences[1].License.ID != "MIT" {
		t.Errorf("%s", text)
	}
	if on := d.Dependencies[1]; on.Ref != "pkg:golang/example.com/m@v1.2.3" || len(on.DependsOn) != 1 || on.DependsOn[0] != "pkg:golang/example.com/other@v0.1.0" {
		t.Errorf("%+v", d.Dependencies)
	}
}

// The page is compared, and written only when that is wanted.
func TestTable(t *testing.T) {
	source := t.TempDir()
	must(t, os.Mkdir(filepath.Join(source, "docs"), 0o755))
	path := filepath.Join(source, page)
	must(t, os.WriteFile(path, []byte("before\n<!-- modules -->\nold\n<!-- /modules -->\nafter\n"), 0o644))
	modules := []*module{{Path: "example.com/m", Version: "v1.2.3", licences: []string{"MIT"}}}
	checking, updating := order{source: source, check: true}, order{source: source, update: true}
	if err := checking.table(modules); err == nil || !strings.Contains(err.Error(), "-update") {
		t.Errorf("an old page: %v", err)
	}
	must(t, updating.table(modules))
	must(t, checking.table(modules))
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "| `example.com/m` | v1.2.3 | MIT |\n<!-- /modules -->\nafter") {
		t.Errorf("%s %v", text, err)
	}
	must(t, os.WriteFile(path, []byte("nothing\n"), 0o644))
	if err := checking.table(modules); err == nil {
		t.Error("a page without a table is good")
	}
}
