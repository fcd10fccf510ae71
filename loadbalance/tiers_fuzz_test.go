package loadbalance

import (
	"testing"

	"servicebroker/servicetable"
)

// FuzzParseTiers: what is read is printed and read again the same, and ranks every instance.
func FuzzParseTiers(f *testing.F) {
	for _, text := range []string{"a,b;c", " a ;b", ";", "a@h,b", "a,,b", ""} {
		f.Add(text, "a")
	}
	f.Fuzz(func(t *testing.T, text, instance string) {
		tiers, err := ParseTiers(text)
		if err != nil {
			return
		}
		again, err := ParseTiers(tiers.String())
		if err != nil || again.String() != tiers.String() {
			t.Fatalf("%q is printed %q and read as %v, %v", text, tiers, again, err)
		}
		r := &servicetable.Registration{Instance: instance, Host: "h"}
		if n := tiers.of(r); n != again.of(r) || n < 0 || n > len(tiers.groups) {
			t.Fatalf("%q: %q is in tier %d", text, instance, n)
		}
	})
}
