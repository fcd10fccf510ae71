package console

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"servicebroker/servicetable"
)

func TestNearNames(t *testing.T) {
	all := []string{"hr.example.com", "sales.example.com", "salesXDB", "reports", "S1", "archive2024"}
	for name, want := range map[string]string{
		"sale":                      "sales.example.com salesXDB",
		"SALSE":                     "sales.example.com",
		"saless":                    "sales.example.com",
		"sales.other.com":           "sales.example.com salesXDB",
		"sales.example.org":         "sales.example.com salesXDB",
		"report":                    "reports",
		"archive":                   "archive2024",
		"s2":                        "S1",
		"nothing":                   "",
		"":                          "",
		strings.Repeat("sales", 20): "",
	} {
		if got := strings.Join(nearest(name, all), " "); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestNearNamesAreFew(t *testing.T) {
	got := nearest("pdb", []string{"pdb1", "pdb2", "pdb3", "pdb4", strings.Repeat("pdb", 100), "pdb"})
	if want := []string{"pdb", "pdb1", "pdb2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"sales", "sales", 0}, {"ab", "ba", 2}} {
		if got := edits(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
	word := rapid.StringMatching(`[ab]{0,8}`)
	rapid.Check(t, func(t *rapid.T) { // what holds of every distance
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		if edits(a, b) != edits(b, a) || (edits(a, b) == 0) != (a == b) || edits(a, c) > edits(a, b)+edits(b, c) {
			t.Fatalf("%q %q %q: %d %d %d", a, b, c, edits(a, b), edits(b, c), edits(a, c))
		}
	})
}

// Who misspelt a service is told its name, however a database spelt that, in a form that is harmless to a terminal.
func TestUnknownServiceNamesThoseNear(t *testing.T) {
	r := registrations()[0]
	r.Services[1].Name = "sa\x1b[2Jles"
	s := testServer(tableOf([]servicetable.Registration{r}))
	for path, want := range map[string]string{
		"/api/v1/services/sales1XD":   `did you mean "sales1XDB"? GET /api/v1/services lists what is registered`,
		"/api/v1/services/sales":      `did you mean "sales1XDB"?`,
		"/api/v1/services/zzz":        "GET /api/v1/services lists what is registered",
		"/api/v1/services/sa%5b2Jles": `"sa\x1b[2Jles"`,
	} {
		var problem errorBody
		if err := json.Unmarshal([]byte(wantAnswer(t, ask(s, "GET", path), 404)), &problem); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(problem.Hint, want) || strings.Contains(problem.Hint, "\x1b") || strings.Contains(problem.Hint, "zzz") {
			t.Errorf("%s: %+v, want %s", path, problem, want)
		}
	}
}
