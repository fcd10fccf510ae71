package main

import (
	"os"
	"strings"
	"testing"
)

// Every command that the tools take is in the document about them.
func TestToolsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/compat.md")
	if err != nil {
		t.Fatal(err)
	}
	for tool, verbs := range map[string][]verb{"cmctl": new(cmctl).verbs(), "cmctl show": new(cmctl).shows(), "lsnrctl": new(lsnrctl).verbs()} {
		for _, v := range verbs {
			if !strings.Contains(string(text), v.name) {
				t.Errorf("docs/compat.md does not mention %s %s", tool, v.name)
			}
		}
	}
}
