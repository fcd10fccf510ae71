package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// mayBe are the licences of what may be in the program: they let it be handed on under its own, along with their texts. MPL-2.0 wants the
// source of its own files to be had, which is as published.
func mayBe() []string {
	return []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "Unlicense", "Zlib"}
}

// marks are what licences say and no other says, in lower case and with single blanks.
func marks() [][2]string {
	return [][2]string{
		{"apache license version 2.0, january 2004", "Apache-2.0"},
		{"licensed under the apache license, version 2.0", "Apache-2.0"},
		{"permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"},
		{"permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"},
		{"permission to use, copy, modify, and distribute this software for any purpose", "ISC"},
		{"this is free and unencumbered software released into the public domain", "Unlicense"},
		{"cc0 1.0 universal", "CC0-1.0"},
		{"altered source versions must be plainly marked as such", "Zlib"},
	}
}

// recognise returns the SPDX names of the licences that a text is, none if it is of no kind that is known.
func recognise(text string) (all []string) {
	text = strings.Join(strings.Fields(strings.ToLower(text)), " ")
	head := text[:min(len(text), 400)]
	if strings.Contains(head, "mozilla public license") {
		if strings.Contains(head, "2.0") {
			return []string{"MPL-2.0"}
		}
		return []string{"MPL"}
	}
	for name, says := range map[string]string{"AGPL": "gnu affero general public license", "LGPL": "gnu lesser general public license", "GPL": "gnu general public license"} {
		if strings.Contains(head, says) { // further on it may be one that others compare themselves with
			return []string{name}
		}
	}
	for _, mark := range marks() {
		if strings.Contains(text, mark[0]) && !slices.Contains(all, mark[1]) {
			all = append(all, mark[1])
		}
	}
	if strings.Contains(text, "redistribution and use in source and binary forms") {
		switch {
		case strings.Contains(text, "all advertising materials"):
			all = append(all, "BSD-4-Clause")
		case strings.Contains(text, "neither the name") || strings.Contains(text, "may not be used to endorse") || strings.Contains(text, "names of its contributors"):
			all = append(all, "BSD-3-Clause")
		default:
			all = append(all, "BSD-2-Clause")
		}
	}
	return all
}

// allowed names each module that may not be in the program.
func allowed(modules []*module) error {
	var errs []error
	for _, m := range modules {
		if len(m.licences) == 0 {
			errs = append(errs, fmt.Errorf("%s %s: no licence that is known was found in %q: do without it, or teach scripts/sbom its licence", m.Path, m.Version, m.files))
		}
		for _, name := range m.licences {
			if !slices.Contains(mayBe(), name) {
				errs = append(errs, fmt.Errorf("%s %s: its licence %s is none of %s: do without it", m.Path, m.Version, name, strings.Join(mayBe(), ", ")))
			}
		}
	}
	return errors.Join(errs...)
}

// notices are the texts that have to go along with the program: each once, with the modules whose it is.
func notices(source string, modules []*module) ([]byte, error) {
	of := map[string][]string{}
	var texts []string
	add := func(whose, path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key := strings.TrimSpace(string(text))
		if of[key] == nil {
			texts = append(texts, key)
		}
		of[key] = append(of[key], whose)
		return nil
	}
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err == nil {
		err = add("the Go standard library and run time", filepath.Join(strings.TrimSpace(string(out)), "LICENSE"))
	}
	for _, m := range modules {
		for _, name := range m.files {
			err = errors.Join(err, add(fmt.Sprintf("%s %s (%s)", m.Path, m.Version, filepath.ToSlash(name)), filepath.Join(m.Dir, name)))
		}
	}
	var w strings.Builder
	w.WriteString("The program `broker` has code of the following, each under the terms below it. The source of each is had by its name and version\nfrom the module mirrors of the Go project, and from where the name leads.\n")
	for _, text := range texts {
		fmt.Fprintf(&w, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(of[text], "\n"), text)
	}
	return []byte(w.String()), err
}
