package broker

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/peers"
)

// defaultPeerAskTimeout is how long a connect that would be refused waits for what peers have.
const defaultPeerAskTimeout = 300 * time.Millisecond

// setPeers reads a list of addresses of APIs, or the word off.
func setPeers(c *Config, n *descriptor.Node) error {
	values := listOf(n)
	if len(values) == 0 {
		return errNoValue
	}
	off := len(values) == 1 && strings.EqualFold(values[0], "off")
	for _, one := range values {
		if off {
			break
		}
		if err := peers.CheckAPI(one); err != nil {
			return err
		}
	}
	c.Peers = values
	return nil
}

func setPeerAskTimeout(c *Config, n *descriptor.Node) error {
	const most = 10 * time.Second
	d, err := ParseDuration(n.Value)
	if err == nil && d > most {
		err = fmt.Errorf("%s is longer than any client should wait to be refused: write at most %v, or 0 to ask nobody", n.Value, most)
	}
	if err == nil {
		c.PeerAskTimeout = d
	}
	return err
}

// checkPeers says what is missing or dangerous about peers.
func (r *reader) checkPeers() {
	c := r.config
	if err := preparePeers(c); err != nil {
		r.say(orOf(r.at["PEER_CREDENTIALS"], r.at["PEER_CA"]), SeverityWarning, "%v; the broker would not start, and a reload would change nothing", err)
	}
	for _, one := range c.Peers {
		u, err := url.Parse(one)
		if err != nil || u.Scheme != "http" || isLoopbackHost(u.Host) {
			continue
		}
		r.say(r.at["PEERS"], SeverityWarning, "%s is asked without TLS: whoever stands between can have this broker's clients of services that it lost; use https://HOST:PORT of that broker's REST_ADDRESS, with PEER_CREDENTIALS and PEER_CA", one)
	}
}

func isLoopbackHost(at string) bool {
	host, _, err := net.SplitHostPort(at)
	if err != nil {
		host = at
	}
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.IsLoopback()
}
