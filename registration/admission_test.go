package registration

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
)

// The host of the admission table: two networks, IPv4 and IPv6.
func twoNetworks() ([]netip.Prefix, error) {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.1.2.3/16"),
		netip.MustParsePrefix("2001:db8:1::3/64"), netip.MustParsePrefix("fe80::3/64")}, nil
}

// someNames knows a few hosts.
func someNames(_ context.Context, host string) ([]netip.Addr, error) {
	switch host {
	case "db1", "db1.example.com":
		return []netip.Addr{netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8:9::11")}, nil
	case "mapped":
		return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.12")}, nil
	case "slow":
		return nil, context.DeadlineExceeded
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func TestAdmission(t *testing.T) {
	for _, c := range []struct {
		name              string
		mode              CheckMode
		invited, excluded string
		peer              string
		admitted          bool
		why               string
	}{
		{"loopback", CheckLocal, "", "", "127.0.0.1", true, "own address"},
		{"any loopback", CheckLocal, "", "", "127.9.9.9", true, "own address"},
		{"IPv6 loopback", CheckLocal, "", "", "::1", true, "own address"},
		{"IPv4-mapped loopback", CheckLocal, "", "", "::ffff:127.0.0.1", true, "own address"},
		{"own address", CheckLocal, "", "", "10.1.2.3", true, "own address"},
		{"own address, IPv4-mapped", CheckLocal, "", "", "::ffff:10.1.2.3", true, "own address"},
		{"own IPv6 address", CheckLocal, "", "", "2001:db8:1::3", true, "own address"},
		{"own link-local address with a zone", CheckLocal, "", "", "fe80::3%eth0", true, "own address"},
		{"neighbour", CheckLocal, "", "", "10.1.2.4", false, "neither"},
		{"IPv6 neighbour", CheckLocal, "", "", "2001:db8:1::4", false, "neither"},
		{"stranger", CheckLocal, "", "", "192.0.2.7", false, "neither"},
		{"unspecified", CheckLocal, "", "", "0.0.0.0", false, "neither"},
		{"neighbour by subnet", CheckSubnet, "", "", "10.1.255.4", true, "subnet"},
		{"neighbour by subnet, IPv4-mapped", CheckSubnet, "", "", "::ffff:10.1.255.4", true, "subnet"},
		{"IPv6 neighbour by subnet", CheckSubnet, "", "", "2001:db8:1::ffff", true, "subnet"},
		{"link-local neighbour by subnet", CheckSubnet, "", "", "fe80::99%eth1", true, "subnet"},
		{"own address by subnet", CheckSubnet, "", "", "10.1.2.3", true, "own address"},
		{"beyond the subnet", CheckSubnet, "", "", "10.2.0.1", false, "neither"},
		{"beyond the IPv6 subnet", CheckSubnet, "", "", "2001:db8:2::1", false, "neither"},
		{"stranger, no check", CheckOff, "", "", "192.0.2.7", true, "anyone"},
		{"IPv6 stranger, no check", CheckOff, "", "", "2001:db8:2::1", true, "anyone"},
		{"excluded, no check", CheckOff, "", "192.0.2.7", "192.0.2.7", false, "excluded by 192.0.2.7"},
		{"invited address", CheckLocal, "192.0.2.7", "", "192.0.2.7", true, "invited by 192.0.2.7"},
		{"invited address, IPv4-mapped peer", CheckLocal, "192.0.2.7", "", "::ffff:192.0.2.7", true, "invited"},
		{"invited address, written IPv4-mapped", CheckLocal, "::ffff:192.0.2.7", "", "192.0.2.7", true, "invited"},
		{"another than invited", CheckLocal, "192.0.2.7", "", "192.0.2.8", false, "neither"},
		{"own address although others are invited", CheckLocal, "192.0.2.7", "", "10.1.2.3", true, "own address"},
		{"invited network", CheckLocal, "192.0.2.0/24", "", "192.0.2.200", true, "invited by 192.0.2.0/24"},
		{"invited network with host bits", CheckLocal, "192.0.2.77/24", "", "192.0.2.200", true, "invited by 192.0.2.0/24"},
		{"beyond the invited network", CheckLocal, "192.0.2.0/25", "", "192.0.2.200", false, "neither"},
		{"invited IPv6 network", CheckLocal, "2001:db8:7::/48", "", "2001:db8:7:1::1", true, "invited"},
		{"invited IPv6 address in brackets", CheckLocal, "[2001:db8:7::1]", "", "2001:db8:7::1", true, "invited"},
		{"invited IPv4-mapped network", CheckLocal, "::ffff:192.0.2.0/120", "", "192.0.2.9", true, "invited by 192.0.2.0/24"},
		{"invited IPv4 network, IPv6 peer", CheckLocal, "0.0.0.0/0", "", "2001:db8:7::1", false, "neither"},
		{"everyone of IPv4", CheckLocal, "0.0.0.0/0", "", "203.0.113.1", true, "invited"},
		{"invited wildcard", CheckLocal, "192.0.*", "", "192.0.99.1", true, "invited by 192.0.*"},
		{"invited long wildcard", CheckLocal, "192.0.*.*", "", "192.0.99.1", true, "invited"},
		{"invited wildcard in the middle", CheckLocal, "192.*.2.7", "", "192.9.2.7", true, "invited"},
		{"beyond the wildcard in the middle", CheckLocal, "192.*.2.7", "", "192.9.2.8", false, "neither"},
		{"beyond the wildcard", CheckLocal, "192.0.*", "", "192.1.0.1", false, "neither"},
		{"wildcard is no text prefix", CheckLocal, "19.*", "", "192.0.2.1", false, "neither"},
		{"wildcard, IPv6 peer", CheckLocal, "192.*", "", "2001:db8:7::1", false, "neither"},
		{"star alone", CheckLocal, "*", "", "2001:db8:7::1", true, "invited by *"},
		{"invited name", CheckLocal, "db1", "", "192.0.2.11", true, "invited by db1"},
		{"invited name, its IPv6 address", CheckLocal, "DB1.Example.Com", "", "2001:db8:9::11", true, "invited by db1.example.com"},
		{"invited name with a dot behind", CheckLocal, "db1.example.com.", "", "192.0.2.11", true, "invited"},
		{"invited name with an IPv4-mapped address", CheckLocal, "mapped", "", "192.0.2.12", true, "invited"},
		{"another than the invited name", CheckLocal, "db1", "", "192.0.2.13", false, "neither"},
		{"invited name does not exist", CheckLocal, "nowhere", "", "192.0.2.13", false, "nowhere: "},
		{"invited name is slow", CheckLocal, "slow", "", "192.0.2.13", false, "slow: context deadline exceeded"},
		{"one of several", CheckLocal, "nowhere, 10.9.*,db1, 192.0.2.0/28", "", "192.0.2.13", true, "invited by 192.0.2.0/28"},
		{"quoted", CheckLocal, `"192.0.2.13"`, "", "192.0.2.13", true, "invited"},
		{"excluded own address", CheckLocal, "", "10.1.2.3", "10.1.2.3", false, "excluded by 10.1.2.3"},
		{"excluded loopback", CheckLocal, "", "127.*", "127.0.0.1", false, "excluded by 127.*"},
		{"excluded neighbour", CheckSubnet, "", "10.1.3.0/24", "10.1.3.4", false, "excluded by 10.1.3.0/24"},
		{"excluded name", CheckOff, "", "db1", "192.0.2.11", false, "excluded by db1"},
		{"invited wins over excluded", CheckLocal, "192.0.2.7", "192.0.2.0/24", "192.0.2.7", true, "invited"},
		{"everyone excluded but one", CheckOff, "192.0.2.7", "*", "192.0.2.7", true, "invited"},
		{"everyone excluded", CheckOff, "192.0.2.7", "*", "192.0.2.8", false, "excluded by *"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &Admission{Mode: c.mode, Invited: list(c.invited), Excluded: list(c.excluded), Resolve: someNames, Interfaces: twoNetworks}
			g, err := newGate(a)
			if err != nil {
				t.Fatal(err)
			}
			v := g.admit(t.Context(), netip.MustParseAddr(c.peer), "TCP")
			if v.allowed != c.admitted || !strings.Contains(v.why, c.why) {
				t.Errorf("admitted %v: %s", v.allowed, v.why)
			}
			if !v.allowed && v.remedy == "" {
				t.Error("the refusal does not say what to do")
			}
		})
	}
}

func TestAdmissionByTransport(t *testing.T) {
	for _, c := range []struct {
		transports, transport string
		peer                  netip.Addr
		admitted              bool
	}{
		{"", "TCP", netip.MustParseAddr("::1"), true},
		{"", "TCPS", netip.MustParseAddr("::1"), true},
		{"", "IPC", netip.Addr{}, false},
		{"tcps", "TCP", netip.MustParseAddr("::1"), false},
		{" tcps ", "TCPS", netip.MustParseAddr("::1"), true},
		{"TCP,IPC", "IPC", netip.Addr{}, true},
		{"TCP,IPC", "TCP", netip.Addr{}, false},
		{"TCPS", "TCP", netip.MustParseAddr("192.0.2.7"), false},
	} {
		g, err := newGate(&Admission{Transports: list(c.transports), Invited: []string{"192.0.2.7"}, Interfaces: twoNetworks})
		if err != nil {
			t.Fatal(err)
		}
		if v := g.admit(t.Context(), c.peer, c.transport); v.allowed != c.admitted {
			t.Errorf("%s of %q from %v: %+v", c.transport, c.transports, c.peer, v)
		}
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	for _, c := range []struct{ invited, excluded, peer, transports, want string }{
		{"", "", "192.0.2.7", "", "write (REGISTRATION_INVITED_NODES=192.0.2.7) into the PARAMETER_LIST, or a network or host name it belongs to"},
		{"192.0.2.8", "", "192.0.2.7", "", "add 192.0.2.7, or a network or host name it belongs to, to REGISTRATION_INVITED_NODES"},
		{"", "", "10.1.2.4", "", "VALID_NODE_CHECKING_REGISTRATION=SUBNET"},
		{"", "192.0.2.*", "192.0.2.7", "", "remove 192.0.2.* from REGISTRATION_EXCLUDED_NODES, or add 192.0.2.7 to REGISTRATION_INVITED_NODES, which wins"},
		{"", "", "192.0.2.7", "TCPS", "add TCP to REGISTRATION_TRANSPORTS"},
	} {
		g, err := newGate(&Admission{Invited: list(c.invited), Excluded: list(c.excluded), Transports: list(c.transports), Interfaces: twoNetworks})
		if err != nil {
			t.Fatal(err)
		}
		if v := g.admit(t.Context(), netip.MustParseAddr(c.peer), "TCP"); v.allowed || !strings.Contains(v.remedy, c.want) {
			t.Errorf("%+v: %q", c, v.remedy)
		}
	}
}

func TestAdmissionWithoutInterfaces(t *testing.T) {
	g, err := newGate(&Admission{Interfaces: func() ([]netip.Prefix, error) { return nil, errors.New("netlink is down") }})
	if err != nil {
		t.Fatal(err)
	}
	if v := g.admit(t.Context(), netip.MustParseAddr("10.1.2.3"), "TCP"); v.allowed || !strings.Contains(v.why, "netlink is down") {
		t.Errorf("%+v", v)
	}
	if v := g.admit(t.Context(), netip.MustParseAddr("127.0.0.1"), "TCP"); !v.allowed {
		t.Errorf("loopback: %+v", v)
	}
}

// However many strangers come, the system is asked for this host's addresses once in a while.
func TestInterfacesAreAskedForOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		g, err := newGate(&Admission{Interfaces: func() ([]netip.Prefix, error) { asked++; return twoNetworks() }})
		if err != nil {
			t.Fatal(err)
		}
		for second := range 3 {
			for range 100 {
				g.admit(t.Context(), netip.MustParseAddr("192.0.2.66"), "TCP")
			}
			if asked != second+1 {
				t.Errorf("asked %d times by second %d", asked, second)
			}
			pass(ownFresh)
		}
	})
}

func TestOwnInterfacesAreAdmitted(t *testing.T) {
	g, err := newGate(nil)
	if err != nil {
		t.Fatal(err)
	}
	local, err := interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range local {
		if v := g.admit(t.Context(), p.Addr(), "TCP"); !v.allowed {
			t.Errorf("%v: %+v", p, v)
		}
	}
}

func TestParseNodes(t *testing.T) {
	for _, good := range []string{"10.1.2.3", "10.1.0.0/16", "10.1.*", "10.*.*.*", "*", "2001:db8::1", "2001:db8::/32", "[2001:db8::1]", "db1", "db_1.Example.COM.",
		"1db.example.com", " db1 ", `"db1"`, "fe80::1%eth0", "xn--bcher-kva.example"} {
		if err := ParseNodes([]string{"10.9.9.9", good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, says := range map[string]string{
		"": "comma", " ": "comma", "10.1.2": "all four", "10.1.2.300": "all four", "10.1.2.3.4": "all four", "10.1.2.": "all four",
		"10.1.0.0/33": "leading bits", "10.1/16": "leading bits", "db1/24": "leading bits", "10.1.2.3:1521": "without a port", "db1:1521": "without a port",
		"10.*.2": "whole numbers", "10.1*": "whole numbers", "10.1.2.3.*": "whole numbers", "300.*": "whole numbers", "01.*": "whole numbers",
		"*.example.com": "whole numbers", "2001:db8:*": "whole numbers", "-db": "host name", "db-.x": "host name", "db 1": "host name", "db..x": "host name",
		"(db1)": "host name", "dbé": "host name", strings.Repeat("a", 64): "host name", strings.Repeat("a.", 130) + "a": "host name", "2001:db8::g": "no IP address",
	} {
		err := ParseNodes([]string{"10.9.9.9", bad})
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), strings.TrimSpace(bad)) {
			t.Errorf("%q: %v, want something about %q", bad, err, says)
		}
	}
	if err := ParseNodes(nil); err != nil {
		t.Error(err)
	}
	for _, a := range []*Admission{{Invited: []string{"10.1"}}, {Excluded: []string{"10.1"}}} {
		if _, err := newGate(a); err == nil || !strings.Contains(err.Error(), "REGISTRATION_") {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

func FuzzParseNodes(f *testing.F) {
	for _, s := range []string{"10.1.2.3", "10.1.*", "*", "::ffff:10.1.0.0/112", "db1", "[::1]", "fe80::1%eth0/64"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, element string) {
		l, err := parseNodes([]string{element})
		for _, peer := range []string{"10.1.2.3", "::1", "2001:db8::1"} {
			if match, found := l.match(netip.MustParseAddr(peer), nil); found && (err != nil || match == "") {
				t.Errorf("%q: %v matches %s although %v", element, match, peer, err)
			}
		}
	})
}
