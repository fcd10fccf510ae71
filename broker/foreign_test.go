package broker

import (
	"net/netip"
	"strings"
	"testing"
)

// Where a database of another host can have its handlers, and where not.
func TestAddressesThatMeanNothingElsewhere(t *testing.T) {
	b := &Broker{}
	peer, onLink, here := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("169.254.3.4"), netip.MustParseAddr("127.0.0.1")
	for _, host := range []string{
		"127.0.0.1", "127.9.9.9", "[::1]", "::ffff:127.0.0.1", "localhost", "LocalHost.", "localhost.localdomain", "db.localhost", "0.0.0.0", "::",
		"169.254.169.254", "fe80::1%eth0", "224.0.0.1", "ff02::1", "255.255.255.255",
	} {
		if why := b.unfit(peer, host); !strings.Contains(why, "and the database is at 192.0.2.7") {
			t.Errorf("%s: %q", host, why)
		}
		for _, local := range []netip.Addr{here, {}} {
			if why := b.unfit(local, host); why != "" {
				t.Errorf("%s of %v: %q", host, local, why)
			}
		}
	}
	for _, host := range []string{"192.0.2.7", "192.0.2.8", "2001:db8::1", "db1", "localhost1", "db1.example.com", "", "no host"} {
		if why := b.unfit(peer, host); why != "" {
			t.Errorf("%s: %q", host, why)
		}
	}
	if why := b.unfit(onLink, "169.254.3.5"); why != "" {
		t.Errorf("a neighbour: %q", why)
	}
}

// The same for what is dialled, however the address came about.
func TestWhatIsDialledForDatabasesElsewhere(t *testing.T) {
	b := &Broker{}
	if b.onlyFor(netip.Addr{}) != nil || b.onlyFor(netip.MustParseAddr("127.0.0.1")) != nil {
		t.Error("databases of this host are hindered")
	}
	allowed := b.onlyFor(netip.MustParseAddr("192.0.2.7"))
	for address, want := range map[string]bool{"192.0.2.7:1521": true, "[2001:db8::1]:1521": true, "127.0.0.1:22": false, "[::1]:22": false, "169.254.169.254:80": false, "nothing": false} {
		if err := allowed("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}
