package broker_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "servicebroker/"

// policy is what ARCHITECTURE.md allows each package to import of ours.
func policy(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- imports -->")
	table, _, found := strings.Cut(table, "<!-- /imports -->")
	if !found {
		t.Fatal("ARCHITECTURE.md has no import table between its markers")
	}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|[^|]*\\|([^|]*)\\|$")
	allowed := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		allowed[m[1]] = []string{}
		for _, name := range strings.Split(m[2], ",") {
			if name = strings.TrimSpace(name); name != "" {
				allowed[m[1]] = append(allowed[m[1]], name)
			}
		}
	}
	return allowed
}

type listed struct {
	ImportPath string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Doc        string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,GoFiles,Imports,Doc", "servicebroker/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportPolicy(t *testing.T) {
	allowed := policy(t)
	leaves := []string{"tns", "descriptor", "registration/nsgr", "servicetable", "ttc", "relay/engine"}
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		may, known := allowed[name]
		if !known {
			t.Errorf("package %s is not in the import table of ARCHITECTURE.md: add it with what it may import", name)
			continue
		}
		for _, i := range p.Imports {
			ours, isOurs := strings.CutPrefix(i, module)
			switch {
			case isOurs && !slices.Contains(may, ours) && !slices.Contains(may, "*"):
				t.Errorf("%s imports %s, which ARCHITECTURE.md does not allow: hand it a function or a value instead", name, ours)
			case !isOurs && strings.Contains(strings.Split(i, "/")[0], ".") && slices.Contains(leaves, name):
				t.Errorf("%s is a leaf and imports %s: leaves use the standard library alone", name, i)
			}
		}
	}
	for name := range allowed {
		if !seen[name] {
			t.Errorf("ARCHITECTURE.md lists %s, which does not exist", name)
		}
	}
}

// Every package explains itself in one doc comment.
func TestEveryPackageIsDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
