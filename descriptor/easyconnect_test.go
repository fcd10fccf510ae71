package descriptor

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEasyConnect(t *testing.T) {
	const h = "(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521))"
	for _, c := range []struct{ text, want string }{
		{"h", h + "(CONNECT_DATA=(SERVICE_NAME=))"},
		{"h/", h + "(CONNECT_DATA=(SERVICE_NAME=))"},
		{"//h/s", h + "(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"tcp://h/s", h + "(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h/sales.us.example.com", h + "(CONNECT_DATA=(SERVICE_NAME=sales.us.example.com))"},
		{"h:3456", "(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=3456))(CONNECT_DATA=(SERVICE_NAME=))"},
		{"[2001:0db8:0:0::200C:417A]:80/sales", "(ADDRESS=(PROTOCOL=TCP)(HOST=2001:0db8:0:0::200C:417A)(PORT=80))(CONNECT_DATA=(SERVICE_NAME=sales))"},
		{"//[::1]/s", "(ADDRESS=(PROTOCOL=TCP)(HOST=::1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h/s:dedicated/i1", h + "(CONNECT_DATA=(SERVICE_NAME=s)(SERVER=dedicated)(INSTANCE_NAME=i1))"},
		{"h/s:POOLED", h + "(CONNECT_DATA=(SERVICE_NAME=s)(SERVER=POOLED))"},
		{"h/:shared", h + "(CONNECT_DATA=(SERVICE_NAME=)(SERVER=shared))"},
		{"h//i1", h + "(CONNECT_DATA=(SERVICE_NAME=)(INSTANCE_NAME=i1))"},
		{"//h//i1", h + "(CONNECT_DATA=(SERVICE_NAME=)(INSTANCE_NAME=i1))"},
		{"h/s/i1", h + "(CONNECT_DATA=(SERVICE_NAME=s)(INSTANCE_NAME=i1))"},
		{" h : 1521 / s : pooled / i1 ", h + "(CONNECT_DATA=(SERVICE_NAME=s)(SERVER=pooled)(INSTANCE_NAME=i1))"},
		{"h1,h2/s", "(LOAD_BALANCE=ON)(ADDRESS=(PROTOCOL=TCP)(HOST=h1)(PORT=1521))(ADDRESS=(PROTOCOL=TCP)(HOST=h2)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h1:1,h2,h3:3,h4/s", "(LOAD_BALANCE=ON)(ADDRESS=(PROTOCOL=TCP)(HOST=h1)(PORT=1))(ADDRESS=(PROTOCOL=TCP)(HOST=h2)(PORT=3))" +
			"(ADDRESS=(PROTOCOL=TCP)(HOST=h3)(PORT=3))(ADDRESS=(PROTOCOL=TCP)(HOST=h4)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h1,[::2]:2;h3/s", "(ADDRESS_LIST=(LOAD_BALANCE=ON)(ADDRESS=(PROTOCOL=TCP)(HOST=h1)(PORT=2))(ADDRESS=(PROTOCOL=TCP)(HOST=::2)(PORT=2)))" +
			"(ADDRESS_LIST=(ADDRESS=(PROTOCOL=TCP)(HOST=h3)(PORT=1521)))(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h1,h2/s?load_balance=off&failover=on", "(LOAD_BALANCE=off)(FAILOVER=on)(ADDRESS=(PROTOCOL=TCP)(HOST=h1)(PORT=1521))(ADDRESS=(PROTOCOL=TCP)(HOST=h2)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h/s?connect_timeout=5&Retry_Count = 3 &sdu=&unknown=x", "(CONNECT_TIMEOUT=5)(RETRY_COUNT=3)(SDU=)(UNKNOWN=x)" + h + "(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h/s?a=1&b=2&A=3&", "(A=3)(B=2)" + h + "(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h/s?pyo.stmtcachesize=50&oracle.net.x=y", h + "(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h/s?service_tag=a@b", h + "(CONNECT_DATA=(SERVICE_NAME=s)(SERVICE_TAG=a@b))"},
		{"h?sdu=1", "(SDU=1)" + h + "(CONNECT_DATA=(SERVICE_NAME=))"},
		{"h/s?", h + "(CONNECT_DATA=(SERVICE_NAME=s))"},
		{"h/s:pooled?pool_boundary=statement&pool_purity=self", h + "(CONNECT_DATA=(SERVICE_NAME=s)(SERVER=pooled)(POOL_BOUNDARY=statement)(POOL_PURITY=self))"},
		{"tcps://h1:1,h2/s?https_proxy=p&https_proxy_port=80", "(LOAD_BALANCE=ON)(ADDRESS=(PROTOCOL=TCPS)(HOST=h1)(PORT=1)(HTTPS_PROXY=p)(HTTPS_PROXY_PORT=80))" +
			"(ADDRESS=(PROTOCOL=TCPS)(HOST=h2)(PORT=1521)(HTTPS_PROXY=p)(HTTPS_PROXY_PORT=80))(CONNECT_DATA=(SERVICE_NAME=s))"},
		{`TCPS://h/s?wallet_location="/a b&c"&ssl_server_cert_dn="cn=x,o=y" & ssl_server_dn_match=on`, "(ADDRESS=(PROTOCOL=TCPS)(HOST=h)(PORT=1521))" +
			`(CONNECT_DATA=(SERVICE_NAME=s))(SECURITY=(WALLET_LOCATION=/a b&c)(SSL_SERVER_CERT_DN="cn=x,o=y")(SSL_SERVER_DN_MATCH=on))`},
		{`h/s?wallet_location=C:\w`, h + `(CONNECT_DATA=(SERVICE_NAME=s))(SECURITY=(WALLET_LOCATION=C:\w))`},
		{`h/s?x="a)(b"`, `(X="a)(b")` + h + `(CONNECT_DATA=(SERVICE_NAME=s))`},
		{"tcps://host1,host2:1522/service:pooled/instance?connect_timeout=5&retry_count=3&wallet_location=\"/x\"",
			"(CONNECT_TIMEOUT=5)(RETRY_COUNT=3)(LOAD_BALANCE=ON)(ADDRESS=(PROTOCOL=TCPS)(HOST=host1)(PORT=1522))(ADDRESS=(PROTOCOL=TCPS)(HOST=host2)(PORT=1522))" +
				"(CONNECT_DATA=(SERVICE_NAME=service)(SERVER=pooled)(INSTANCE_NAME=instance))(SECURITY=(WALLET_LOCATION=/x))"},
	} {
		n, err := EasyConnect(c.text)
		if err != nil {
			t.Errorf("EasyConnect(%q): %v", c.text, err)
			continue
		}
		if diff := cmp.Diff("(DESCRIPTION="+c.want+")", n.String()); diff != "" {
			t.Errorf("EasyConnect(%q): %s", c.text, diff)
		}
	}
}

func TestEasyConnectErrors(t *testing.T) {
	for _, c := range []struct {
		text, problem string
		column        int
	}{
		{"", "a host is missing", 1},
		{"  ", "a host is missing", 3},
		{"/s", "a host is missing", 1},
		{"///s", "a host is missing", 3},
		{"h1,,h2/s", "a host is missing", 4},
		{"h1;/s", "a host is missing", 4},
		{"[]/s", "a host is missing", 1},
		{"[::1/s", "the [ before an IPv6 address is never closed", 1},
		{"[::1]x:1/s", `"[::1]x" is not a host`, 1},
		{"h h/s", `"h h" is not a host`, 1},
		{"scott@h/s", "there is a user before an @", 1},
		{" scott/tiger@//h/s?x=y@z", "there is a user before an @", 2},
		{"(x)/s", `"(x)" is not a host`, 1},
		{"::1/s", "more than one : after a host", 1},
		{"h:1521:orcl", "more than one : after a host", 1},
		{"h:/s", `"" is not a port`, 3},
		{"h1,h2: abc/s", `"abc" is not a port`, 8},
		{"h:0/s", `"0" is not a port`, 3},
		{"h:65536/s", `"65536" is not a port`, 3},
		{"größe:x", `"x" is not a port`, 7},
		{"http://h/s", `the protocol "http" is not known`, 1},
		{"h/s:fast", `the server "fast" is not known`, 5},
		{"h/s:", `the server "" is not known`, 5},
		{"h/s/i/j", `"i/j" is not a name of instance`, 5},
		{"h/s t", `"s t" is not a name of service`, 3},
		{"h/(s)", `"(s)" is not a name of service`, 3},
		{"h/s?x", `no = after the parameter "x"`, 5},
		{"h/s?x=1& y", `no = after the parameter "y"`, 10},
		{"h/s?=1", `"" is not the name of a parameter`, 5},
		{"h/s?a b=1", `"a b" is not the name of a parameter`, 5},
		{`h/s?x="1`, "the quote opened here is never closed", 7},
		{`h/s?x="1"2&y=3`, `unexpected "2" after a quoted value`, 10},
		{"h/s?" + strings.Repeat("a=b&", easyParameters+1), "more than 64 parameters", 5 + 4*easyParameters},
		{strings.Repeat("h", easyBytes+1), "more than 8192 bytes", 1},
		{"h?address=x", "ADDRESS is a part of a descriptor", 3},
		{"h/s?sdu=1& Connect_Data=x", "CONNECT_DATA is a part of a descriptor", 12},
		{"h/s?security=x&token_auth=y", "SECURITY is a part of a descriptor", 5},
		{"h]/s", `"h]" is not a host`, 1},
		{"[[::1]]/s", `"[[::1]]" is not a host`, 1},
		{strings.Repeat("a,", 4095) + "a", "the descriptor of it has more than 65536 bytes", 1},
		{strings.Repeat("a,", 2040) + "a?https_proxy=" + strings.Repeat("v", 4060), "the descriptor of it has more than 65536 bytes", 1},
	} {
		n, err := EasyConnect(c.text)
		var problem *SyntaxError
		if !errors.As(err, &problem) || n != nil {
			t.Errorf("EasyConnect(%q) is %v, %v; want a SyntaxError only", c.text, n, err)
			continue
		}
		if !strings.Contains(problem.Problem, c.problem) || problem.Line != 1 || problem.Column != c.column || problem.Remedy == "" {
			t.Errorf("EasyConnect(%q): %v; want column %d: …%s…", c.text, err, c.column, c.problem)
		}
	}
}

func TestEasyConnectErrorsGiveNoPasswordAway(t *testing.T) {
	for _, text := range []string{"scott/tiger@h/s", "scott/tiger@h:x", "tcp://scott:tiger@h/s", `h/s?password="tiger`, `h/s?password="x"tiger`} {
		if _, err := EasyConnect(text); err == nil || strings.Contains(err.Error(), "tiger") {
			t.Errorf("EasyConnect(%q): %v", text, err)
		}
	}
}

func TestEasyConnectParametersGoWhereTheyBelong(t *testing.T) {
	section := map[string][]string{
		"CONNECT_DATA": connectDataParameters[:], "SECURITY": securityParameters[:], "ADDRESS": addressParameters[:],
		"": {"ENABLE", "FAILOVER", "LOAD_BALANCE", "RECV_BUF_SIZE", "SEND_BUF_SIZE", "SDU", "SOURCE_ROUTE", "RETRY_COUNT",
			"RETRY_DELAY", "CONNECT_TIMEOUT", "TRANSPORT_CONNECT_TIMEOUT", "RECV_TIMEOUT", "EXPIRE_TIME", "USE_SNI"},
	}
	for where, names := range section {
		for _, name := range names {
			n, err := EasyConnect("h/s?" + strings.ToLower(name) + "=value1")
			if err != nil {
				t.Fatal(err)
			}
			at := n
			if where != "" {
				at = n.Child(where)
			}
			if got := at.Text(name); got != "value1" || strings.Count(n.String(), "value1") != 1 {
				t.Errorf("%s is not in %q: %s", name, where, n)
			}
		}
	}
}

func TestParseConnect(t *testing.T) {
	for _, c := range []struct{ text, host string }{
		{"h1:1521/s", "h1"},
		{" \n(DESCRIPTION=(ADDRESS=(HOST=h2)(PORT=1521))(CONNECT_DATA=(SID=x)))", "h2"},
	} {
		n, err := ParseConnect(c.text)
		if err != nil {
			t.Fatalf("ParseConnect(%q): %v", c.text, err)
		}
		if a, err := n.Address(); err != nil || a.Host != c.host {
			t.Errorf("ParseConnect(%q) leads to %v, %v", c.text, a, err)
		}
	}
	for _, text := range []string{"", "(A=", "h:x"} {
		if n, err := ParseConnect(text); err == nil {
			t.Errorf("ParseConnect(%q) is %s, want an error", text, n)
		}
	}
}

// Whatever hosts, ports and names are asked for, they are what the descriptor says, and it survives the wire.
func TestEasyConnectSaysWhatWasAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.OneOf(rapid.StringMatching(`[a-z][a-z0-9.-]{0,20}`), rapid.SampledFrom([]string{"::1", "fe80::1%eth0", "2001:db8::200c:417a"}))
		hosts := rapid.SliceOfN(host, 1, 5).Draw(t, "hosts")
		var list []string
		for i, h := range hosts {
			if strings.Contains(h, ":") {
				h = "[" + h + "]"
			}
			list = append(list, fmt.Sprintf("%s:%d", h, i+1))
		}
		service := rapid.StringMatching(`[A-Za-z0-9_.$#-]{0,20}`).Draw(t, "service")
		setting := rapid.StringMatching(`[^"]{0,10}`).Draw(t, "setting")
		text := strings.Join(list, ",") + "/" + service + `?service_tag="` + setting + `"`
		n, err := EasyConnect(text)
		if err != nil {
			t.Fatalf("EasyConnect(%q): %v", text, err)
		}
		back, err := Parse(n.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(n, back, sameTree); diff != "" {
			t.Fatalf("%q: %s", text, diff)
		}
		data := ConnectData(back)
		if data.Text("SERVICE_NAME") != service || data.Text("SERVICE_TAG") != setting || len(Addresses(back)) != len(hosts) {
			t.Fatalf("%q became %s", text, n)
		}
		for i, node := range Addresses(back) {
			if a, err := node.Address(); err != nil || a.Host != hosts[i] || a.Port != i+1 {
				t.Fatalf("address %d of %q is %v, %v", i, text, a, err)
			}
		}
	})
}
