package intent

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzTargets: a target that is read is in a form that is read again the same, and known by a key that any
// store takes.
func FuzzTargets(f *testing.F) {
	f.Add([]byte(`{"kind":"drain","target":{"service":"Sales*","network":"10.0.0.0/8"},"reason":"x"}`))
	f.Add([]byte(`{"kind":"weight","target":{"instance":"s1@db1"},"weight":5}`))
	f.Add([]byte(`{"kind":"hold","target":{"network":"::ffff:10.0.0.1/100","database":"a%2f..b"}}`))
	f.Add([]byte(`{"kind":"drain","target":{"service":"s"},"created":"2026-01-01T00:00:00+24:00"}`)) // an offset that is read, and never written
	f.Add([]byte(`{"kind":"drain","target":{"service":"s"},"created":"9999-12-31T23:59:59-01:00"}`))
	f.Add([]byte(`{"kind":"approve","target":{"quarantine":"` + strings.Repeat("é", 49) + `"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var i Intent
		if json.Unmarshal(data, &i) != nil {
			return
		}
		if kind, err := ParseKind(string(i.Kind)); err == nil {
			if again, err := ParseKind(string(kind)); err != nil || again != kind {
				t.Fatalf("%q became %q, %v", i.Kind, kind, err)
			}
		}
		target, err := ParseTarget(i.Target)
		if err != nil {
			return
		}
		if again, err := ParseTarget(target); err != nil || again != target {
			t.Fatalf("%+v became %+v, %v", target, again, err)
		}
		i.Target = target
		key := i.Key()
		if strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=,/&") != "" || key == "" || len(key) > maxKey || strings.Contains(key, "..") {
			t.Fatalf("%+v has the key %q", i, key)
		}
		if i.Check() != nil {
			return
		}
		checked, _ := check(i, i.Created)
		kept, err := json.Marshal(checked)
		if err != nil {
			t.Fatal(err)
		}
		var back Intent
		if err := json.Unmarshal(kept, &back); err != nil || back.Key() != key || back.Check() != nil {
			t.Fatalf("%s: %v, key %q instead of %q, %v", kept, err, back.Key(), key, back.Check())
		}
	})
}

// FuzzState reads files whose sum is right, so that what is in them is looked at: what is read is in a form
// that a store would take, and is written and read again the same.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"next":3,"intents":[{"id":"d1","kind":"drain","target":{"service":"s"},"created":"2026-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"next":3,"intents":[{"id":"d1","created":"2026-01-01T00:00:00+24:00","deadline":"9999-12-31T23:59:59-01:00"}]}`))
	f.Add([]byte(`{"next":0,"intents":[{"id":"","kind":"x"},null]}`))
	f.Add([]byte(`{"next":18446744073709551615,"intents":[{"id":"w18446744073709551615","kind":"weight","weight":-1}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			return
		}
		content := []byte(`{"format": 1, "crc32c": "` + sum(text) + `", "state": ` + string(text) + `}`)
		kept, err := decode(content)
		if err != nil {
			return
		}
		again, err := encode(kept)
		if err != nil {
			t.Fatalf("%s is read, and cannot be written: %v", content, err)
		}
		back, err := decode(again)
		if err != nil || back.Next != kept.Next || len(back.Intents) != len(kept.Intents) {
			t.Fatalf("%s became %s: %v", content, again, err)
		}
		for i := range kept.Intents {
			if a, b := kept.Intents[i], back.Intents[i]; a.Key() != b.Key() || a.ID != b.ID || a.Kind != b.Kind {
				t.Fatalf("%+v became %+v", a, b)
			}
		}
	})
}
