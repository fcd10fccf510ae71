package broker

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/testenv/authority"
	"servicebroker/tns"
)

// loopbackMeant are rules that let clients' own routes lead to where tests are.
func loopbackMeant() relay.Rules {
	return relay.Rules{{
		Source: relay.HostPattern{Any: true}, Destination: relay.HostPattern{Network: netip.MustParsePrefix("127.0.0.0/8")}, Action: relay.Accept, Text: "(RULE=127/8)",
	}}
}

func addressAt(protocol, hostPort string) string {
	host, port, _ := net.SplitHostPort(hostPort)
	return "(ADDRESS=(PROTOCOL=" + protocol + ")(HOST=" + host + ")(PORT=" + port + "))"
}

func through(addresses ...string) string {
	return "(DESCRIPTION=(SOURCE_ROUTE=yes)" + strings.Join(addresses, "") + "(CONNECT_DATA=(SERVICE_NAME=sales)))"
}

func nextHop(t *testing.T, text string) *NextHop {
	t.Helper()
	n, err := descriptor.Parse("(NEXT_HOP=" + text + ")")
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	if err := setNextHop(&c, n); err != nil {
		t.Fatal(err)
	}
	return c.NextHop
}

// A chain may change between TCP and TCPS at each hop, in both directions; each hop over TLS is who its host says.
func TestRoutesOverTLS(t *testing.T) {
	a := authority.New(t)
	port, _ := secureDatabase(t, &tls.Config{Certificates: []tls.Certificate{a.Host()}})
	secure := addressAt("tcps", "localhost:"+strconv.Itoa(port))
	host, plainPort := database(t)
	plain := addressAt("tcp", net.JoinHostPort(host, strconv.Itoa(plainPort)))
	rules := func(c *Config) { c.Rules = loopbackMeant() }
	first, second := startSecure(t, a, rules), startSecure(t, a, rules)
	door := func(r *running, protocol string) string {
		if protocol == "tcps" {
			return addressAt("tcps", r.Addresses()[1])
		}
		return addressAt("tcp", r.Addresses()[0])
	}
	for _, text := range []string{
		through(door(first, "tcp"), secure),
		through(door(first, "tcp"), door(second, "tcps"), plain),
		through(door(first, "tcp"), door(second, "tcps"), secure),
		through(door(first, "tcp"), door(second, "tcp"), secure),
	} {
		if _, reply := first.ask(text); !isAccept(reply) {
			t.Errorf("%s\n answered %v", text, reply)
		}
		reply, err := first.askTLS(&tls.Config{RootCAs: a.Pool, ServerName: "localhost"}, text)
		if err != nil || !isAccept(reply) {
			t.Errorf("over TLS, %s\n answered %v, %v", text, reply, err)
		}
	}
	stranger := startSecure(t, authority.New(t), rules)
	first.wantCode(through(door(first, "tcp"), door(stranger, "tcps"), plain), tns.CodeHandoff)
	first.explained("give the CA of the instances' certificates in UPSTREAM_TLS")
}

// A hop is taken out of use, and its sessions ended, as an instance's are.
func TestHopsAreDrained(t *testing.T) {
	host, port := database(t)
	hostPort := net.JoinHostPort(host, strconv.Itoa(port))
	r := start(t, func(c *Config) {
		c.HoldTimeout = 0
		c.NextHop = nextHop(t, "(DESCRIPTION="+addressAt("tcp", hostPort)+")")
	})
	for _, target := range []intent.Target{{Node: host}, {Service: "sales"}, {Instance: hostPort}} {
		if _, reply := r.ask(sales); !isAccept(reply) {
			t.Fatalf("answered %v", reply)
		}
		until(t, "the session is there", func() bool { return len(r.relay.Sessions()) == 1 })
		if one := r.relay.Sessions()[0]; one.Instance != hostPort || one.Service != "sales" {
			t.Errorf("listed as %+v", one)
		}
		v := r.set(intent.Intent{Kind: intent.Drain, Target: target, EndSessions: true, Deadline: time.Now()})
		until(t, "the session is over", func() bool { return len(r.relay.Sessions()) == 0 })
		r.wantCode(sales, tns.CodeBlocked)
		if e, err := r.Explain(t.Context(), console.ExplainRequest{Descriptor: sales}); err != nil || e.Outcome != journal.Refuse || len(e.Candidates) != 1 || !strings.Contains(e.Candidates[0].PassedOver, v.ID) {
			t.Errorf("explained as %+v, %v", e, err)
		}
		if _, err := r.EndIntent(t.Context(), v.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// Several next hops share the connects, and one that fails is passed over and left alone for a while.
func TestNextHopsAreBalanced(t *testing.T) {
	var texts []string
	for range 2 {
		host, port := database(t)
		texts = append(texts, addressAt("tcp", net.JoinHostPort(host, strconv.Itoa(port))))
	}
	r := start(t, func(c *Config) {
		c.NextHop = nextHop(t, "(DESCRIPTION=(LOAD_BALANCE=on)"+strings.Join(texts, "")+")")
	})
	at := map[string]int{}
	for range 6 {
		conn, reply := r.ask(sales)
		if !isAccept(reply) {
			t.Fatalf("answered %v", reply)
		}
		defer conn.NetConn().Close()
	}
	until(t, "all sessions are there", func() bool { return len(r.relay.Sessions()) == 6 })
	for _, one := range r.relay.Sessions() {
		at[one.Instance]++
	}
	if len(at) != 2 {
		t.Errorf("sessions by hop: %v", at)
	}
}

func TestReachedHopsAreBounded(t *testing.T) {
	var r reachedHops
	now := time.Now()
	for i := range maxHops {
		r.note(fmt.Sprint(i), now.Add(-time.Duration(i%2)*time.Hour), time.Minute)
	}
	r.note("one more", now, time.Minute)
	if _, known := r.reached("1"); known || len(r.all) != maxHops/2+1 {
		t.Errorf("%d are left", len(r.all))
	}
	for i := range maxHops {
		r.note(fmt.Sprint("x", i), now, time.Minute)
	}
	if at, known := r.reached(fmt.Sprint("x", maxHops-1)); !known || !at.Equal(now) || len(r.all) > maxHops {
		t.Errorf("%d are left, the last %t", len(r.all), known)
	}
}

// A drain of what clients ask for by an alias lets nobody in, and knows the sessions that are left.
func TestAliasesAreDrained(t *testing.T) {
	host, port := database(t)
	n, err := descriptor.Parse("(DESCRIPTION=" + addressAt("tcp", net.JoinHostPort(host, strconv.Itoa(port))) + "(CONNECT_DATA=(SERVICE_NAME=sales)))")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *Config) {
		c.HoldTimeout, c.ServiceIsAlias, c.Aliases = 0, true, map[string]*descriptor.Node{"SHOP": n}
	})
	shop := asking("shop")
	if _, reply := r.ask(shop); !isAccept(reply) {
		t.Fatalf("answered %v", reply)
	}
	until(t, "the session is there", func() bool { return len(r.relay.Sessions()) == 1 })
	v := r.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "shop"}, EndSessions: true, Deadline: time.Now().Add(time.Hour)})
	if v.Progress.SessionsLeft != 1 || v.Progress.Done {
		t.Errorf("%+v", v.Progress)
	}
	r.wantCode(shop, tns.CodeBlocked)
}
