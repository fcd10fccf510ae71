package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/console"
)

// sentTo waits until clients of a name are sent to those brokers, and no others.
func sentTo(t *testing.T, zone, name string, brokers ...string) {
	t.Helper()
	var want []string
	for _, b := range brokers {
		at := netip.MustParseAddrPort(b)
		weight := 100
		if name == "db.example" {
			weight = 0
		}
		want = append(want, fmt.Sprintf("0 %d %d %s.broker.node.db.example.", weight, at.Port(), strings.ReplaceAll(at.Addr().String(), ".", "-")))
	}
	awaitAnswer(t, zone, "_oracle._tcp."+name, wire.TypeSRV, strings.Join(want, ", "))
}

// Clients are sent to the brokers that take connects; databases find all of them at the zone's own name.
func TestBrokersThatAreAwayAreNotInTheZone(t *testing.T) {
	second := beside(t, "b2", nil)
	its := second.Addresses()[0]
	second.register("hr1", "hr")
	first := beside(t, "b1", func(c *Config) {
		c.DNS = DNSSettings{Address: "127.0.0.1:0", Zone: "db.example", ToBrokers: true, Brokers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort(its)}}
	}, second.api())
	own, zone := first.Addresses()[0], first.atZone()
	first.register("sales1", "sales")
	first.awaitPeers(func(l console.PeerList) bool { return l.Peers[0].State == console.PeerAlive })
	sentTo(t, zone, "sales.db.example", own, its)
	lasting, _ := second.session("hr") // it ends, and lets this go on
	second.stop()
	sentTo(t, zone, "sales.db.example", own)
	if l := first.peerList(); l.Peers[0].State != console.PeerAlive {
		t.Errorf("the peer that ends is %s", l.Peers[0].State)
	}
	lasting.Close()
	first.awaitPeers(func(l console.PeerList) bool { return l.Peers[0].State == console.PeerAway })
	sentTo(t, zone, "sales.db.example", own)
	sentTo(t, zone, "db.example", own, its)
	conn, _ := first.session("sales")
	defer conn.Close()
	first.stop() // it goes on until the session ends, and there is nobody else to name
	within(t, 10*time.Second, "the end to begin", func() error {
		if !first.stopping.Load() {
			return errors.New("not yet")
		}
		return nil
	})
	sentTo(t, zone, "sales.db.example", own, its)
}

func TestABrokerThatEndsLeavesClientsToOthers(t *testing.T) {
	r := zoned(t, func(c *Config) {
		c.DNS.ToBrokers, c.DNS.Brokers = true, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("192.0.2.1:1521")}
	})
	r.register("sales1", "sales")
	own, zone := r.Addresses()[0], r.atZone()
	sentTo(t, zone, "sales.db.example", own, "192.0.2.1:1521")
	conn, _ := r.session("sales")
	defer conn.Close()
	r.stop()
	sentTo(t, zone, "sales.db.example", "192.0.2.1:1521")
	sentTo(t, zone, "db.example", own, "192.0.2.1:1521")
}
