package moment

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestInUTC(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-01T00:00:00+24:00":           "2025-12-31T00:00:00Z",
		"2026-01-01T00:00:00.000000001-23:59": "2026-01-01T23:59:00.000000001Z",
		"0000-01-01T00:00:00Z":                "0000-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999Z":      "9999-12-31T23:59:59.999999999Z",
		"9999-12-31T23:59:59-01:00":           "it is in the year 10000: give",
		"0000-01-01T00:00:00+01:00":           "it is in the year -1: give",
	} {
		var at time.Time
		if err := json.Unmarshal([]byte(`"`+text+`"`), &at); err != nil {
			t.Fatal(err)
		}
		before := at
		err := InUTC("it", &at)
		if err != nil {
			if !strings.HasPrefix(err.Error(), want) || at != before {
				t.Errorf("%s: %v, %v", text, at, err)
			}
			continue
		}
		if again, err := json.Marshal(at); err != nil || string(again) != `"`+want+`"` || !at.Equal(before) {
			t.Errorf("%s: %s, %v", text, again, err)
		}
	}
	var none time.Time
	if err := InUTC("it", &none); err != nil || !none.IsZero() {
		t.Errorf("%v, %v", none, err)
	}
}
