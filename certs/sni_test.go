package certs

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseSNI(t *testing.T) {
	for name, want := range map[string]OracleSNI{
		"S4.orcl.V3.319":                             {Service: "orcl", Version: 319},
		"S16.orcl.example.com.T1.d.V3.319":           {Service: "orcl.example.com", Server: "d", Version: 319},
		"S5.sales.I6.sales1.T1.p.C3.red.V3.320":      {Service: "sales", Instance: "sales1", Server: "p", ColocationTag: "red", Version: 320},
		"S4.orcl":                                    {Service: "orcl"},
		"S9.V3.319.S4.V3.319":                        {Service: "V3.319.S4", Version: 319},
		"S4.orcl.X7.unknown.V3.319":                  {Service: "orcl", Version: 319},
		"S100." + strings.Repeat("a.b-c_", 17)[:100]: {Service: strings.Repeat("a.b-c_", 17)[:100]},
		"S1.a.V3.319":                                {Service: "a", Version: 319},
		"I6.sales1.S5.sales":                         {Service: "sales", Instance: "sales1"},
	} {
		got, ok := ParseSNI(name)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%q: %v %s", name, ok, diff)
		}
	}
}

func TestParseSNIOfOthers(t *testing.T) {
	for _, name := range []string{"", "db1.example.com", "s4.orcl.V3.319", "S4.orcl.", "S5.orcl", "S4orcl", "S.orcl", "S0..V3.319", "S04.orcl", "S4.orclV3.319",
		"S4.orcl.V3", "S4.orcl.V3.31", "S4.orcl.V3.31x", "S4.orcl.V3.000", "S4.orcl.V5.99999", "S4.orcl.S4.orcl", "V3.319", "T1.d.V3.319", "S9999.a", "S-1.a", "S4.orcl.V3.319.V3.319",
		"S99999999999999999999.a", "S100." + strings.Repeat("a", 100) + ".C200." + strings.Repeat("b", 200)} {
		if got, ok := ParseSNI(name); ok || got != (OracleSNI{}) {
			t.Errorf("%q: %+v", name, got)
		}
	}
}

func oracleSNI() *rapid.Generator[OracleSNI] {
	text := func(most int) *rapid.Generator[string] {
		return rapid.StringOfN(rapid.RuneFrom([]rune("aZ09._-")), -1, most, -1)
	}
	return rapid.Custom(func(t *rapid.T) OracleSNI {
		return OracleSNI{Service: "s" + text(99).Draw(t, "service"), Instance: text(40).Draw(t, "instance"), Server: rapid.SampledFrom([]string{"", "d", "s", "p"}).Draw(t, "server"),
			ColocationTag: text(40).Draw(t, "tag"), Version: rapid.IntRange(0, 65535).Draw(t, "version")}
	})
}

func TestSNIRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := oracleSNI().Draw(t, "sni")
		got, ok := ParseSNI(want.String())
		if !ok || got != want {
			t.Fatalf("%q gives %+v, want %+v", want, got, want)
		}
	})
}

// No prefix of a name says more than the name does: it is refused, or lacks whole parts.
func TestSNIPrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := oracleSNI().Draw(t, "sni")
		text := whole.String()
		prefix := text[:rapid.IntRange(0, len(text)-1).Draw(t, "length")]
		if got, ok := ParseSNI(prefix); ok && !strings.HasPrefix(text, got.String()+".") {
			t.Fatalf("%q, cut off %q, gives %+v", prefix, text, got)
		}
	})
}

func FuzzParseSNI(f *testing.F) {
	for _, seed := range []string{"S4.orcl.V3.319", "S16.orcl.example.com.T1.d.V3.319", "S5.sales.I6.sales1.T1.p.C3.red.V3.320", "db1.example.com", "S9999999999.x", "S4.orcl.X1.x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		sni, ok := ParseSNI(name)
		if !ok {
			if sni != (OracleSNI{}) {
				t.Fatalf("%q is refused and gives %+v", name, sni)
			}
			return
		}
		if sni.Service == "" || len(sni.String()) > len(name) {
			t.Fatalf("%q gives %+v", name, sni)
		}
		if again, ok := ParseSNI(sni.String()); !ok || again != sni {
			t.Fatalf("%q gives %+v, which gives %+v", name, sni, again)
		}
	})
}

// No server name makes a handshake fail, none at all, one of Oracle's and nonsense alike.
func TestAnyServerNameIsServed(t *testing.T) {
	ca := newAuthority(t, "root")
	want := ca.host(t)
	l := serve(t, loaded(t, &Source{Certificate: newFolder(t).pair(t, "cert.pem", want)}))
	for _, name := range []string{"", "db1.example.com", "other.example.org", "S4.orcl.V3.319", "S16.orcl.example.com.T1.d.V3.319", "S4.or_l.V3.319", "S9999.x", "a..b",
		strings.Repeat("long.", 60) + "x", "\x00\x01", "127.0.0.1", "[::1]"} {
		for _, protocols := range [][]string{nil, {"h2", "http/1.1"}, {"acme-tls/1"}, {"sqlnet"}} {
			state, _, err := l.handshake(&tls.Config{ServerName: name, NextProtos: protocols, InsecureSkipVerify: true})
			if err != nil || !state.PeerCertificates[0].Equal(want.cert) || state.NegotiatedProtocol != "" {
				t.Errorf("%q, protocols %v: %v", name, protocols, err)
			}
		}
	}
	if len(l.errors) > 0 {
		t.Error(<-l.errors)
	}
}
