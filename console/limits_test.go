package console

import (
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	o := newOperated(t)
	list := answer[LimitList](t, o.request("GET", "/api/v1/limits", ""), 200)
	same(t, "limits", list.Limits, nil, o.Limits())
	var b strings.Builder
	if err := WriteLimits(&b, list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"LIMIT OF", "service sales", "2.5 connects/s", "MAX_SESSIONS of SERVICE"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := WriteLimits(&b, LimitList{}); err != nil || !strings.Contains(b.String(), "No limits") {
		t.Errorf("%q, %v", b.String(), err)
	}
}
