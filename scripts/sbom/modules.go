package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// program is what is handed out.
const program = "./cmd/broker"

// machines are those for which it is.
func machines() []string { return []string{"amd64", "arm64"} }

// module is one of which the program has code.
type module struct {
	Path, Version, Dir string
	Sum                string // as in go.sum
	Replace            *module

	files    []string        // licences and notices of what is linked, relative to Dir
	licences []string        // by their SPDX names
	needs    map[string]bool // modules whose packages its packages import
}

// pkg is a package as the go command describes it.
type pkg struct {
	ImportPath, Dir string
	Standard        bool
	Imports         []string
	Module          *module
}

// linked returns the modules of which the program has code on any machine, sorted; not the one it is of.
func linked(source string) ([]*module, error) {
	byPath, moduleOf := map[string]*module{}, map[string]string{}
	var all []pkg
	for _, machine := range machines() {
		packages, err := packagesOf(source, machine)
		if err != nil {
			return nil, err
		}
		all = append(all, packages...)
	}
	sums, err := sums(filepath.Join(source, "go.sum"))
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Module == nil || p.Module.Version == "" { // the standard library, and the program's own module
			continue
		}
		moduleOf[p.ImportPath] = p.Module.Path
		m := byPath[p.Module.Path]
		if m == nil {
			m = p.Module
			if m.Replace != nil {
				return nil, fmt.Errorf("%s is replaced by %s: a program that is handed out is made of what go.mod requires", m.Path, m.Replace.Path)
			}
			m.needs, m.Sum = map[string]bool{}, sums[m.Path+" "+m.Version]
			byPath[m.Path] = m
		}
		if err := m.collect(p.Dir); err != nil {
			return nil, err
		}
	}
	for _, p := range all {
		for _, imported := range p.Imports {
			if of, by := moduleOf[imported], byPath[moduleOf[p.ImportPath]]; by != nil && of != "" && of != by.Path {
				by.needs[of] = true
			}
		}
	}
	var modules []*module
	for _, m := range byPath {
		if err := m.read(); err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b *module) int { return strings.Compare(a.Path, b.Path) })
	return modules, nil
}

// packagesOf are those of the program on a machine.
func packagesOf(source, machine string) (all []pkg, err error) {
	command := exec.Command("go", "list", "-deps", "-mod=readonly", "-tags=timetzdata", "-json=ImportPath,Dir,Standard,Imports,Module", program)
	command.Dir = source
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+machine, "GOFLAGS=", "GOWORK=off")
	out, err := command.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, fmt.Errorf("go list: %w: %s", err, exit.Stderr)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); err == nil; {
		var p pkg
		if err = d.Decode(&p); err == nil {
			all = append(all, p)
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("go list: %w", err)
	}
	return all, nil
}

// sums are the checksums of modules' contents, by "path version".
func sums(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && !strings.HasSuffix(f[1], "/go.mod") {
			all[f[0]+" "+f[1]] = f[2]
		}
	}
	return all, err
}

// legal are names of files that say under which terms something may be handed on.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|unlicense|patents)([-.].*)?$`)

// collect notes the legal files that hold for a package: those beside it, and above it up to the module.
func (m *module) collect(dir string) error {
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if name := e.Name(); e.Type().IsRegular() && legal.MatchString(name) && filepath.Ext(name) != ".go" {
				relative, err := filepath.Rel(m.Dir, filepath.Join(dir, name))
				if err != nil {
					return err
				}
				if !slices.Contains(m.files, relative) {
					m.files = append(m.files, relative)
				}
			}
		}
		if dir == m.Dir || !strings.HasPrefix(dir, m.Dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// read finds out the licences by their texts.
func (m *module) read() error {
	slices.Sort(m.files)
	for _, name := range m.files {
		text, err := os.ReadFile(filepath.Join(m.Dir, name))
		if err != nil {
			return err
		}
		m.licences = append(m.licences, recognise(string(text))...)
	}
	slices.Sort(m.licences)
	m.licences = slices.Compact(m.licences)
	return nil
}
