package broker

import (
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"servicebroker/descriptor"
	"servicebroker/registration"
)

// configured reads a file with these parameters and address.
func configured(t *testing.T, address, parameters string) *Config {
	t.Helper()
	c, messages := ReadConfig(write(t, "CMAN1=(CONFIGURATION="+address+goodRules+"(PARAMETER_LIST="+parameters+"))"), "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	prefixes := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, prefixes); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestLimitsAreRead(t *testing.T) {
	c := configured(t, goodAddress, `(CLIENT_RATE=60/min)(SERVICE_RATE=100)(CONNECTION_RATE=5/s)(IP_RATE_COUNT=7)(IP_RATE_INTERVAL=2)(IP_RATE_BLOCK=10)
		(MAX_SESSIONS=9)(MAX_ALL_CONNECTIONS=11)(BANDWIDTH=10M)(ACCEPT_QUEUE_WAIT=0)(EXPIRE_TIME=10)(SDU=65536)(SHUTDOWN_GRACE=1)`)
	same(t, "limits", Limits{ClientRate: 1, ServiceRate: 100, ConnectionRate: 5, IPRateCount: 7, IPRateInterval: 2 * time.Second, IPRateBlock: 10 * time.Minute,
		Guesses: 30, MaxSessions: 9, MaxConnections: 11, Bandwidth: 10 << 20}, c.Limits)
	if c.ExpireTime != 10*time.Minute || c.SDU != 65536 || c.ShutdownGrace != time.Second {
		t.Errorf("expire %v, SDU %d, grace %v", c.ExpireTime, c.SDU, c.ShutdownGrace)
	}
	c = configured(t, goodAddress, "(MAX_GATEWAY_PROCESSES=8)(MAX_CONNECTIONS=1024)(MIN_GATEWAY_PROCESSES=3)(MAX_CMCTL_SESSIONS=5)(EXPIRE_TIME=90s)")
	same(t, "gateways", Gateways{Min: 3, Max: 8, Connections: 1024, CMCTL: 5}, c.Gateways)
	if c.Limits.MaxSessions != 8192 || c.ExpireTime != 90*time.Second {
		t.Errorf("%d sessions, expire %v", c.Limits.MaxSessions, c.ExpireTime)
	}
	c = configured(t, goodAddress, "(SERVICE=(NAME=sales*)(RATE=3)(MAX_SESSIONS=4)(BANDWIDTH=1k))")
	if s := c.Services[0]; s.Treatment.Rate != 3 || s.Treatment.MaxSessions != 4 || s.Treatment.Bandwidth != 1024 {
		t.Errorf("%+v", s)
	}
}

func TestRoutesAreRead(t *testing.T) {
	c := configured(t, goodAddress, `(NEXT_HOP=(DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS=(PROTOCOL=tcp)(HOST=c2)(PORT=1521))(ADDRESS=(PROTOCOL=tcps)(HOST=db1)(PORT=2484))))
		(USE_SID_AS_SERVICE=on)(DEFAULT_SERVICE=sales)
		(VIEW=(CLIENTS=192.0.2.0/24,2001:db8::1)(MAP=(FROM=10.1.0.5)(TO=198.51.100.5:1601))(MAP=(FROM=db1:1521)(TO=[2001:db8::5]:1522)))
		(view=(clients=(10.0.0.0/8))(map=(from=::1)(to=h)))`)
	if h := c.NextHop; h == nil || !h.SourceRoute || len(h.Addresses) != 2 || h.Addresses[1] != (descriptor.Address{Protocol: "tcps", Host: "db1", Port: 2484}) || h.Description.Name != "DESCRIPTION" {
		t.Errorf("next hop %+v", c.NextHop)
	}
	if !c.SIDIsService || c.DefaultService != "sales" {
		t.Errorf("%v %q", c.SIDIsService, c.DefaultService)
	}
	same(t, "views", []View{
		{Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
			Maps: []AddressMap{{From: "10.1.0.5", To: "198.51.100.5", ToPort: 1601}, {From: "db1", FromPort: 1521, To: "2001:db8::5", ToPort: 1522}}},
		{Clients: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Maps: []AddressMap{{From: "::1", To: "h"}}},
	}, c.Views)
	if h := configured(t, goodAddress, "(NEXT_HOP=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))").NextHop; h.SourceRoute || len(h.Addresses) != 1 {
		t.Errorf("next hop %+v", h)
	}
}

func TestAliasesAreRead(t *testing.T) {
	file := write(t, "CMAN1=(CONFIGURATION="+goodAddress+goodRules+"(PARAMETER_LIST=(USE_SERVICE_AS_TNSNAMES_ALIAS=on)))")
	names := filepath.Join(filepath.Dir(file), "tnsnames.ora")
	c, messages := ReadConfig(file, "")
	if c == nil || !strings.Contains(join(messages), "there is no "+names+": no alias can be looked up until it is put there") {
		t.Errorf("%s", join(messages))
	}
	text := "sales, Sales.World = (DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=s)))\nnothing = (DESCRIPTION=)\n"
	if err := os.WriteFile(names, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, messages = ReadConfig(file, "")
	if c == nil || len(c.Aliases) != 2 || c.Aliases["SALES.WORLD"].Text("DESCRIPTION", "ADDRESS", "HOST") != "db1" || len(c.Files) != 2 {
		t.Errorf("%+v, %s", c, join(messages))
	}
	if err := os.WriteFile(names, []byte("sales = (DESCRIPTION=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, messages = ReadConfig(file, ""); c != nil || !strings.Contains(join(messages), names+":1:") {
		t.Errorf("%s", join(messages))
	}
}

func TestTLSIsRead(t *testing.T) {
	c := configured(t, `(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)(TLS_CERTIFICATE=/a.pem)(TLS_KEY=/a.key)(TLS_MIN_VERSION=1.3)(PASSTHROUGH=on)(NETWORK=inner)
			(RATE_LIMIT=20)(PROXY_PROTOCOL=(IN=10.0.0.0/8)))(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1522)(RATE_LIMIT=yes))`,
		`(TLS_CERTIFICATE=/c.pem)(TLS_KEY=/k.pem)(TLS_CLIENT_CA=/ca.pem)(SSL_CLIENT_AUTHENTICATION=TRUE)(SSL_CIPHER_SUITES=(SSL_RSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384))(ACME_ROOTS=/r.pem)(SSL_VERSION=1.3)
		(ACME_DIRECTORY=https://acme.test/dir)(ACME_NAMES=a.test,b.test)(ACME_EMAIL=x@a.test)(ACME_CHALLENGE=tls-alpn-01)
		(UPSTREAM_TLS=(CA=/u.pem)(CERTIFICATE=/uc.pem)(KEY=/uk.pem)(DN_MATCH=off)(MIN_VERSION=TLSv1.3))
		(PROXY_PROTOCOL=in=10.0.0.0/8, 192.0.2.7)(PROXY_PROTOCOL=(OUT=(DST=db1)(VERSION=v1))(OUT=v2))`)
	same(t, "TLS", TLSSettings{Certificate: "/c.pem", Key: "/k.pem", ClientCA: "/ca.pem", ClientAuth: "required", MinVersion: tls.VersionTLS13, CipherSuites: []string{"SSL_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"}}, c.TLS)
	same(t, "ACME", ACMESettings{Directory: "https://acme.test/dir", Names: []string{"a.test", "b.test"}, Email: "x@a.test", Challenge: "tls-alpn", Roots: "/r.pem", CheckInterval: 10 * time.Minute}, c.ACME)
	same(t, "upstream", UpstreamTLS{CA: "/u.pem", Certificate: "/uc.pem", Key: "/uk.pem", NoDNMatch: true, MinVersion: tls.VersionTLS13}, c.UpstreamTLS)
	same(t, "PROXY protocol", ProxyProtocol{In: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32")},
		Out: []ProxyProtocolRule{{Destination: "db1", Version: 1}, {Version: 2}}}, c.ProxyProtocol)
	same(t, "addresses", []ListenSettings{
		{TLS: &TLSSettings{Certificate: "/a.pem", Key: "/a.key", MinVersion: tls.VersionTLS13}, Passthrough: true, Rate: 20, Network: "inner", ProxyProtocol: &ProxyProtocol{In: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}},
		{RateLimited: true}}, c.Listening)
	if c := configured(t, goodAddress, "(TLS_WALLET=/w)(TLS_WALLET_PASSWORD_FILE=/p)(SSL_CLIENT_AUTHENTICATION=optional)"); c.TLS.Wallet != "/w" || c.TLS.WalletPasswordFile != "/p" || c.TLS.ClientAuth != "optional" {
		t.Errorf("%+v", c.TLS)
	}
	if w := configured(t, goodAddress, "(WALLET_LOCATION=(SOURCE=(METHOD=FILE)(METHOD_DATA=(DIRECTORY=/wallet))))").TLS.Wallet; w != "/wallet" {
		t.Errorf("wallet %q", w)
	}
	if p := configured(t, goodAddress, "(PROXY_PROTOCOL=(IN=10.0.0.0/8))(PROXY_PROTOCOL=off)").ProxyProtocol; p.In != nil {
		t.Errorf("%+v is not off", p)
	}
}

func TestPlacesAndNamesAreRead(t *testing.T) {
	c := configured(t, goodAddress, "(REST_ADDRESS=cman1)(REST_CREDENTIALS=/c)(TLS_WALLET=/w)(METRICS_ADDRESS=0.0.0.0:9521)(READY_SERVICES=(a,b))(LOG_DIRECTORY=/l)(PEERS=http://b2:8521)(DYNAMIC_REGISTRATION=off)(SECURE_REGISTER=(TCPS))")
	if c.RESTAddress != "cman1:1525" || c.RESTCredentials != "/c" || c.MetricsAddress != "0.0.0.0:9521" || c.LogDirectory != "/l" || len(c.ReadyServices) != 2 || len(c.Peers) != 1 {
		t.Errorf("%+v", c)
	}
	same(t, "admission", []any{[]string{"*"}, []string(nil), []string{"TCPS"}}, []any{c.Admission.Excluded, c.Admission.Invited, c.Admission.Transports})
	if c := configured(t, "(ADDRESS=(PROTOCOL=tcp)(HOST=::1)(PORT=1))", "(REST_ADDRESS=off)(VALID_NODE_CHECKING_REGISTRATION=2)"); c.RESTAddress != "" || c.Admission.Mode != registration.CheckSubnet {
		t.Errorf("%q, %v", c.RESTAddress, c.Admission.Mode)
	}
}

// A password is shown to nobody.
func TestSecretsAreNotKept(t *testing.T) {
	c := configured(t, goodAddress, "(PASSWORD_CMAN1=5f4dcc3b5aa765d6)")
	if got := c.Given["PASSWORD_CMAN1"].Value; got != descriptor.Masked {
		t.Errorf("%q", got)
	}
}
