package deploy

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oasdiff/yaml"
)

// code is what a document shows as code: whole blocks line by line, and spans.
func code(t *testing.T, document string) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/" + document)
	must(t, err)
	for i, part := range strings.Split(string(text), "```") {
		if i%2 == 1 {
			_, block, _ := strings.Cut(part, "\n") // without the language
			all = append(all, strings.Split(block, "\n")...)
			continue
		}
		for _, span := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(part, -1) {
			all = append(all, span[1])
		}
	}
	return all
}

// Commands, targets and folders that the documents about installing name are there.
func TestDocumentedCommandsExist(t *testing.T) {
	broker := built(t, "..", "./cmd/broker")
	help := output(t, broker, "--help")
	makefile, err := os.ReadFile("../Makefile")
	must(t, err)
	command := regexp.MustCompile(`(?:^|-- |bin/)broker ([a-z]+)\b`)
	for _, document := range []string{"kubernetes.md", "migration.md", "operations.md"} {
		found := 0
		for _, line := range code(t, document) {
			if named := command.FindStringSubmatch(line); named != nil && !strings.HasPrefix(line, "broker for ") { // which is in a trace
				found++
				if !regexp.MustCompile(`(?m)^  ` + named[1] + `\b`).MatchString(help) {
					t.Errorf("%s: %q: there is no broker %s", document, line, named[1])
				}
			}
			if target, is := strings.CutPrefix(line, "make "); is && !strings.Contains(string(makefile), "\n"+strings.Fields(target)[0]+":") {
				t.Errorf("%s: %q: there is no such target", document, line)
			}
			if path := strings.Fields(line + " ")[:min(1, len(strings.Fields(line)))]; len(path) == 1 && strings.HasPrefix(path[0], "deploy/") {
				if _, err := os.Stat("../" + path[0]); err != nil {
					t.Errorf("%s: %v", document, err)
				}
			}
		}
		if found < 4 {
			t.Errorf("%s names %d commands: does this test still see them?", document, found)
		}
	}
}

// Values of the chart that the document names are there.
func TestDocumentedValuesExist(t *testing.T) {
	text, err := os.ReadFile("helm/servicebroker/values.yaml")
	must(t, err)
	text, err = yaml.YAMLToJSON(text)
	must(t, err)
	var values map[string]any
	must(t, json.Unmarshal(text, &values))
	found := 0
	for _, span := range code(t, "kubernetes.md") {
		path := strings.Split(regexp.MustCompile(`^[a-zA-Z.]+`).FindString(span), ".")
		if _, is := values[path[0]]; !is || strings.Contains(span, "/") {
			continue
		}
		found++
		at := any(values)
		for _, key := range path {
			inner, _ := at.(map[string]any)
			if at, _ = inner[key]; !slices.Contains(keys(inner), key) {
				t.Errorf("%s is no value of the chart", span)
				break
			}
		}
	}
	if found < 15 {
		t.Errorf("%d values are named: does this test still see them?", found)
	}
}

func keys(m map[string]any) (all []string) {
	for key := range m {
		all = append(all, key)
	}
	return all
}
