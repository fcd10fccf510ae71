// Command sbom lists what the broker's program is made of besides this source: modules, versions and licences, by what the go command
// says is linked, and without a network. It writes a bill of materials (CycloneDX), the table of docs/dependencies.md and the texts
// that have to go along with the program, and fails where a licence is none that this program may be handed out under.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	var o order
	flag.StringVar(&o.source, "source", ".", "folder of the broker's module")
	flag.StringVar(&o.version, "version", "", "version of the broker, for the bill")
	flag.StringVar(&o.bill, "o", "", "file for the bill of materials; its folder is made")
	flag.StringVar(&o.notices, "notices", "", "file for the texts of licences; its folder is made")
	flag.BoolVar(&o.update, "update", false, "write the table of docs/dependencies.md anew")
	flag.BoolVar(&o.check, "check", false, "fail if that table is not what is linked now")
	flag.Parse()
	if err := o.do(); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// order is what is wanted.
type order struct {
	source, version, bill, notices string
	update, check                  bool
}

// page has the table for people.
const page = "docs/dependencies.md"

func (o *order) do() error {
	modules, err := linked(o.source)
	if err != nil {
		return err
	}
	errs := []error{allowed(modules)}
	if o.bill != "" {
		text, err := bill(modules, o.version)
		errs = append(errs, err, write(o.bill, text))
	}
	if o.notices != "" {
		text, err := notices(o.source, modules)
		errs = append(errs, err, write(o.notices, text))
	}
	if o.update || o.check {
		errs = append(errs, o.table(modules))
	}
	return errors.Join(errs...)
}

// table compares the page with what is linked, or writes it anew.
func (o *order) table(modules []*module) error {
	path := filepath.Join(o.source, page)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const begin, end = "<!-- modules -->\n", "<!-- /modules -->"
	before, rest, opened := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		return fmt.Errorf("%s has no %s … %s", path, strings.TrimSpace(begin), end)
	}
	now := before + begin + rows(modules) + end + after
	switch {
	case now == string(text):
		return nil
	case o.update:
		return os.WriteFile(path, []byte(now), 0o644)
	}
	return fmt.Errorf("%s is not what is linked now: go run ./scripts/sbom -update writes it anew; look at what has come", page)
}

func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// rows is the table for people.
func rows(modules []*module) string {
	var w strings.Builder
	w.WriteString("| module | version | licence |\n|---|---|---|\n")
	for _, m := range modules {
		fmt.Fprintf(&w, "| `%s` | %s | %s |\n", m.Path, m.Version, strings.Join(m.licences, ", "))
	}
	return w.String()
}
