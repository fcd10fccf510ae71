package drivers

import (
	"strings"
	"testing"
)

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
