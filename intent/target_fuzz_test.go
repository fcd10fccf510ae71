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
		if strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=,/&") != "" && i.Check() == nil || key == "" || len(key) > maxKey || strings.Contains(key, "..") {
			t.Fatalf("%+v has the key %q", i, key)
		}
		if i.Check() != nil {
			return
		}
		kept, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		var back Intent
		if err := json.Unmarshal(kept, &back); err != nil || back.Key() != key || back.Check() != nil {
			t.Fatalf("%s: %v, key %q instead of %q, %v", kept, err, back.Key(), key, back.Check())
		}
	})
}
