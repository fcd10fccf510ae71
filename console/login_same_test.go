package console

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Who asks with a name that nobody has makes the same work as who asks with a known one and a wrong password, or with the right one: one hash
// is tried, of the sort that the file has. What a name that is not known is tried with is always the same.
func TestUnknownNamesAreTriedAlike(t *testing.T) {
	l := loginsOf(t, people()...)
	var tried []string
	l.try = func(hash, password string) bool {
		tried = append(tried, hash)
		return isPassword(hash, password)
	}
	now := noon()
	l.Now = func() time.Time { return now }
	mine := map[string]bool{}
	for i, c := range []struct{ name, password string }{
		{"operator", "wrong"}, {"viewer", "wrong"}, {"nobody", "wrong"}, {"", "wrong"}, {"operator", ""}, {"nobody", ""}, {"operator", "operator has a password"}, {"nobody", "operator has a password"},
	} {
		tried = nil
		host := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) // each may try at once
		c0, err := l.Check(askingAs(c.name, c.password), host)
		if len(tried) != 1 {
			t.Errorf("%q with %q: %d hashes are tried", c.name, c.password, len(tried))
			continue
		}
		known := slices.ContainsFunc(people(), func(one Credential) bool { return one.Name == c.name })
		if (err == nil) != (known && c.password == c.name+" has a password") {
			t.Errorf("%q with %q: %+v %v", c.name, c.password, c0, err)
		}
		if !slices.ContainsFunc(l.kept.all, func(one Credential) bool { return one.Password == tried[0] }) {
			t.Errorf("%q is tried with a hash that is not of the file", c.name)
		}
	}
	for i := range 200 {
		name := fmt.Sprint("stranger", i)
		one := l.kept.decoyFor(name)
		if one != l.kept.decoyFor(name) {
			t.Errorf("%s is tried with one hash and with another", name)
		}
		mine[one] = true
	}
	if len(mine) != len(people()) {
		t.Errorf("strangers are tried with %d of %d hashes", len(mine), len(people()))
	}
	if l.Wrong() != 7 {
		t.Errorf("%d were wrong", l.Wrong())
	}
}
