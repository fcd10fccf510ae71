package broker

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tsigKey is one as tsig-keygen writes it.
const (
	tsigName   = "broker.example"
	tsigSecret = "c2VydmljZWJyb2tlci10ZXN0LWtleS0wMDAx"
)

func tsigFile(t *testing.T, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tsig.key")
	if err := os.WriteFile(file, []byte("key \""+tsigName+"\" {\n\talgorithm hmac-sha256;\n\tsecret \""+tsigSecret+"\";\n};\n"), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDNSParametersAreRead(t *testing.T) {
	at := netip.MustParseAddrPort
	const zone = "(DNS_ADDRESS=:53)(DNS_ZONE=db.example)"
	for parameters, change := range map[string]func(*DNSSettings){
		"":                  func(*DNSSettings) {},
		"(DNS_ADDRESS=off)": func(d *DNSSettings) { d.Address = "" },
		"(DNS_ZONE=DB.Example.org.)(DNS_TTL=1min)":   func(d *DNSSettings) { d.Zone, d.TTL = "db.example.org", time.Minute },
		"(DNS_TARGET=brokers)(DNS_RATE=0)":           func(d *DNSSettings) { d.ToBrokers, d.Rate = true, 0 },
		"(DNS_BROKERS=192.0.2.1,[2001:db8::1]:1600)": func(d *DNSSettings) { d.Brokers = []netip.AddrPort{at("192.0.2.1:0"), at("[2001:db8::1]:1600")} },
		"(DNS_NAME_SERVERS=ns1.example.,ns2)":        func(d *DNSSettings) { d.NameServers = []string{"ns1.example", "ns2"} },
		"(DNS_REVERSE=10.0.0.0/8,2001:db8::/32)": func(d *DNSSettings) {
			d.Reverse = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
		},
		"(DNS_DNSSEC=on)": func(d *DNSSettings) { d.Sign = true },
		"(DNS_TRANSFER=(SECONDARY=192.0.2.5)(KEY=/k))(DNS_TRANSFER=[::1]:5353)": func(d *DNSSettings) {
			d.Secondaries = []DNSSecondary{{at("192.0.2.5:53"), "/k"}, {Address: at("[::1]:5353")}}
		},
		"(DNS_UPDATE=(PRIMARY=ns.example)(KEY=/k))": func(d *DNSSettings) { d.Update = DNSUpdate{Primary: "ns.example:53", Key: "/k"} },
		"(DNS_UPDATE=(PRIMARY=192.0.2.5:5353)(KEY=/k)(ZONE=Example.)(STOP=leave))": func(d *DNSSettings) {
			d.Update = DNSUpdate{Primary: "192.0.2.5:5353", Key: "/k", Zone: "example", Leave: true}
		},
	} {
		want := DNSSettings{Address: ":53", Zone: "db.example", TTL: 5 * time.Second, Rate: 1000}
		change(&want)
		got := configured(t, goodAddress, zone+parameters).DNS
		if len(got.Brokers)+len(want.Brokers)+len(got.Secondaries)+len(want.Secondaries) > 0 {
			for i := range max(len(got.Brokers), len(want.Brokers)) {
				same(t, parameters, want.Brokers[i].String(), got.Brokers[i].String())
			}
			for i := range max(len(got.Secondaries), len(want.Secondaries)) {
				if got.Secondaries[i] != want.Secondaries[i] {
					t.Errorf("%s: %+v, want %+v", parameters, got.Secondaries[i], want.Secondaries[i])
				}
			}
			got.Brokers, want.Brokers, got.Secondaries, want.Secondaries = nil, nil, nil, nil
		}
		same(t, parameters, want, got)
	}
}

func TestMistakesInDNSParametersAreTold(t *testing.T) {
	const served = "(DNS_ADDRESS=:53)(DNS_ZONE=db.example)"
	for parameters, want := range map[string]string{
		"(DNS_ADDRESS=x)":                                   "is not host:port",
		"(DNS_ADDRESS=:53)(DNS_ZONE=db example)":            "is no domain name: write for example db.example.com",
		"(DNS_ADDRESS=:53)(DNS_ZONE=10.1.1.1)":              "is an address",
		"(DNS_ADDRESS=:53)":                                 "DNS_ZONE is missing",
		"(DNS_ZONE=db.example)":                             "published nowhere",
		"(DNS_ZONE=db.example)(DNS_DNSSEC=on)":              "DNS_DNSSEC is about the zone that is served here",
		"(DNS_ZONE=db.example)(DNS_TRANSFER=192.0.2.5)":     "DNS_TRANSFER is about the zone that is served here",
		served + "(DNS_TTL=0)":                              "write from 1 s to 24 h",
		served + "(DNS_TTL=2d)":                             "DNS_TTL",
		served + "(DNS_TARGET=broker)":                      "did you mean brokers?",
		served + "(DNS_BROKERS=db1)":                        `"db1" is no address`,
		served + "(DNS_BROKERS=)":                           "has no value",
		served + "(DNS_NAME_SERVERS=10.1.1.1)":              "is no host name",
		served + "(DNS_REVERSE=10.0.0.0/9)":                 "DNS_REVERSE",
		served + "(DNS_TRANSFER=ns2.example)":               "write where the name server listens",
		served + "(DNS_TRANSFER=(KEY=/k))":                  "it has no SECONDARY",
		served + "(DNS_TRANSFER=::1)(DNS_TRANSFER=[::1])":   "is there already",
		served + "(DNS_TRANSFER=192.0.2.5)":                 "whoever has the address 192.0.2.5 gets the zone",
		served + "(DNS_TRANSFER=192.0.2.5)(DNS_DNSSEC=on)":  "secondaries cannot copy",
		served + "(DNS_UPDATE=(PRIMARY=ns))":                "it has no KEY: make one with tsig-keygen",
		served + "(DNS_UPDATE=(KEY=/k))":                    "it has no PRIMARY",
		served + "(DNS_UPDATE=(PRIMARY=x:y)(KEY=/k))":       "is not host:port",
		served + "(DNS_UPDATE=(PRIMARY=x)(ZONE=b))":         "it has no KEY",
		served + "(DNS_UPDATE=(PRIMARY=x)(KEY=/k)(ZONE=b))": "DNS_ZONE db.example is not within ZONE b of the primary",
		served + "(DNS_UPDATE=(PRIMARY=x)(KEY=/k)(STOP=b))": "withdraw",
		served + "(ACME_DIRECTORY=https://ca.example/d)(ACME_NAMES=cman.example)(ACME_CHALLENGE=dns-01)": "cman.example is not in the zone db.example",
	} {
		_, messages := ReadConfig(write(t, "CMAN1=(CONFIGURATION="+goodAddress+goodRules+"(PARAMETER_LIST="+parameters+"))"), "")
		if text := join(messages); !strings.Contains(text, want) {
			t.Errorf("%s says %q, want %q", parameters, text, want)
		}
	}
	for _, good := range []string{
		served, served + "(DNS_UPDATE=(PRIMARY=x)(KEY=/k)(ZONE=example))",
		served + "(ACME_DIRECTORY=https://ca.example/d)(ACME_NAMES=cman.db.example)(ACME_CHALLENGE=dns-01)",
	} {
		_, messages := ReadConfig(write(t, "CMAN1=(CONFIGURATION="+goodAddress+goodRules+"(PARAMETER_LIST="+good+"))"), "")
		if strings.Contains(join(messages), "DNS") || strings.Contains(join(messages), "error") {
			t.Errorf("%s says %q", good, join(messages))
		}
	}
}

func TestKeysThatCannotBeUsedAreTold(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.key")
	if err := os.WriteFile(broken, []byte("key x { secret y; };"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(secret, nil, 0); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		tsigFile(t, 0o600):  "",
		tsigFile(t, 0o644):  "everyone on this host may read",
		"/nonexistent/tsig": "make it with tsig-keygen NAME > /nonexistent/tsig",
		broken:              "16 bytes or more",
	} {
		c := configured(t, goodAddress, "(DNS_ADDRESS=:53)(DNS_ZONE=db.example)(DNS_TRANSFER=(SECONDARY=192.0.2.5)(KEY="+key+"))(DNS_UPDATE=(PRIMARY=x)(KEY="+key+"))")
		text := join(c.checkDNSKeys())
		if !strings.Contains(text, want) || (want == "") != (text == "") || want != "" && (strings.Count(text, "DNS_UPDATE: ") != 1 || strings.Count(text, "DNS_TRANSFER: ") != 1) {
			t.Errorf("%s says %q, want %q", key, text, want)
		}
	}
	if os.Geteuid() == 0 {
		return // root may read everything
	}
	c := configured(t, goodAddress, "(DNS_ZONE=db.example)(DNS_UPDATE=(PRIMARY=x)(KEY="+secret+"))")
	if text := join(c.checkDNSKeys()); !strings.Contains(text, "cannot be read by this user") {
		t.Errorf("%q", text)
	}
}
