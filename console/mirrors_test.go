package console

import (
	"strings"
	"testing"
)

func TestMirrors(t *testing.T) {
	o := newOperated(t)
	list := answer[MirrorList](t, o.request("GET", "/api/v1/mirrors", ""), 200)
	same(t, "mirrors", list.Mirrors, nil, o.Mirrors())
	var b strings.Builder
	if err := WriteMirrors(&b, list, noon()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"MIRROR", "LAST SUCCESS", "zone db.example at 0.0.0.0:53", "current", "12 of 12", "5 s ago", "2 h ago", "never", "3 of 12",
		"dns-update: failed 5 s ago: the DNS primary cannot be reached\n", `dns: service "a_b" is published as a-b-0011aabb`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	for line := range strings.Lines(b.String()) {
		for name, want := range map[string]string{"elsewhere": "elsewhere 127.0.0.1:8501 standby (b1@host1:1521 writes) - - - 0", "nobody": "nobody 127.0.0.1:8502 standby - - - 0"} {
			if fields := strings.Fields(line); fields[0] == name && strings.Join(fields, " ") != want {
				t.Errorf("%q, want %q", line, want)
			}
		}
	}
	b.Reset()
	if err := WriteMirrors(&b, MirrorList{}, noon()); err != nil || !strings.Contains(b.String(), "No mirrors") || !strings.Contains(b.String(), "DNS_ADDRESS") {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestABrokerWithoutMirrorsSaysSo(t *testing.T) {
	o := newOperated(t)
	o.Mirrors = nil
	wantAnswer(t, o.request("GET", "/api/v1/mirrors", ""), 404)
}
