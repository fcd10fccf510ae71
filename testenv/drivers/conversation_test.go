package drivers

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// conversation is one that ends with its test.
type conversation struct {
	Conversation
	t *testing.T
}

// converse begins a conversation with a driver.
func converse(t *testing.T, d Driver) conversation {
	t.Helper()
	c := conversation{t: t}
	switch d := d.(type) {
	case GoOra:
		c.Conversation = d.Converse()
	case *Script:
		var err error
		c.Conversation, err = d.Converse(t.Context())
		must(t, err)
	default:
		t.Fatalf("%s cannot converse", d.Name())
	}
	return c
}

// all does steps one after the other.
func (c conversation) all(steps []Step) (results []Result) {
	c.t.Helper()
	ctx, cancel := context.WithTimeoutCause(c.t.Context(), jobTime, fmt.Errorf("not done within %v", jobTime))
	defer cancel()
	for _, s := range steps {
		results = append(results, c.Do(ctx, s))
	}
	return results
}

// A driver whose process ends tells how, and the conversation goes on with another process.
func TestADriversEndIsTold(t *testing.T) {
	script := &Script{name: "brief", command: []string{"sh", "-c", `read step; echo '{"error":"as it should"}'; read step; echo torn >&2; exit 3`, "brief"}}
	c, err := script.Converse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range [][]string{{"as it should"}, {"exit status 3", "torn"}, {"as it should"}} {
		got := c.Do(t.Context(), Step{}).Error
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("step %d: %q, want %q in it", n, got, part)
			}
		}
	}
	if err := c.End(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("ended with %v", err)
	}
}
