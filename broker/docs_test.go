package broker

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the tables of the documentation anew")

const configurationPage = "../docs/configuration.md"

// The tables of the documentation are those of the code. With -update they are written anew.
func TestParametersAreDocumented(t *testing.T) {
	content, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	for name, want := range map[string]string{"parameters": parameterRows(), "replaced": replacedRows()} {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		before, rest, opened := strings.Cut(page, begin)
		got, after, closed := strings.Cut(rest, end)
		if !opened || !closed {
			t.Fatalf("%s has no %s … %s", configurationPage, begin, end)
		}
		if *update {
			page = before + begin + want + end + after
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: table of %s; go test ./broker -run TestParametersAreDocumented -update writes it (-code +page):\n%s", configurationPage, name, diff)
		}
	}
	if *update && page != string(content) {
		if err := os.WriteFile(configurationPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// parameterRows is the table of what has an effect.
func parameterRows() string {
	var w strings.Builder
	w.WriteString("| parameter | default | unit, range | meaning | turning it costs | kind |\n|---|---|---|---|---|---|\n")
	for _, p := range Parameters() {
		if p.Kind == KindReplaced {
			continue
		}
		kind := string(p.Kind) + ", restart"
		if p.Live {
			kind = string(p.Kind) + ", live"
		}
		if p.Pending {
			kind = string(p.Kind) + ", **no effect yet**"
		}
		unit := strings.Trim(p.Unit+"; "+p.Range, "; ")
		fmt.Fprintf(&w, "| `%s` | %s | %s | %s | %s | %s |\n", p.Name, orDash(p.Default), orDash(unit), p.Meaning, orDash(p.Cost), kind)
	}
	return w.String()
}

// replacedRows is the table of what has none.
func replacedRows() string {
	var w strings.Builder
	w.WriteString("| parameter | instead |\n|---|---|\n")
	for _, p := range Parameters() {
		if p.Kind == KindReplaced {
			fmt.Fprintf(&w, "| `%s` | %s |\n", p.Name, p.Meaning)
		}
	}
	return w.String()
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}
