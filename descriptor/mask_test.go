package descriptor

import (
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMask(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{sample, sample},
		{"(DESCRIPTION=(SECURITY=(SSL_SERVER_CERT_DN=x)(MY_WALLET_DIRECTORY=/w))(A=1))", "(DESCRIPTION=(SECURITY=***)(A=1))"},
		{"(DESCRIPTION=(security=(X=y)))", "(DESCRIPTION=(security=***))"},
		{"(DESCRIPTION=(CONNECT_DATA=(security=(ssl_server_dn_match=yes))(SERVICE_NAME=s)))", "(DESCRIPTION=(CONNECT_DATA=(security=***)(SERVICE_NAME=s)))"},
		{"(A=(WALLET_LOCATION=(SOURCE=(METHOD=File)(METHOD_DATA=(DIRECTORY=/w))))(TLS_WALLET_PASSWORD_FILE=/p))", "(A=(WALLET_LOCATION=***)(TLS_WALLET_PASSWORD_FILE=***))"},
		{"(A=(PASSWORD=x)(password_cman1=(x,y))(HTTPS_PROXY_PASSWORD=z)(Passwd=q)(PWD=r)(CLIENT_SECRET=s))",
			"(A=(PASSWORD=***)(password_cman1=***)(HTTPS_PROXY_PASSWORD=***)(Passwd=***)(PWD=***)(CLIENT_SECRET=***))"},
		{"(A=(TOKEN_AUTH=OCI_TOKEN)(TOKEN_LOCATION=/t)(COLOCATION_TAG=c))", "(A=(TOKEN_AUTH=***)(TOKEN_LOCATION=***)(COLOCATION_TAG=c))"},
		{"(CONNECT_DATA=(COMMAND=password)(ARGUMENTS=64)(VALUE=1234ABCD))", "(CONNECT_DATA=(COMMAND=password)(ARGUMENTS=64)(VALUE=***))"},
		{"(CONNECT_DATA=(COMMAND=log_file)(VALUE=x.log))", "(CONNECT_DATA=(COMMAND=log_file)(VALUE=x.log))"},
		{"(MY_WALLET_DIRECTORY=/w)", "(MY_WALLET_DIRECTORY=***)"},
	} {
		n := parsed(t, c.text)
		before := n.Clone()
		if got := Mask(n).String(); got != c.want {
			t.Errorf("%s is masked %s, want %s", c.text, got, c.want)
		}
		if diff := cmp.Diff(before, n); diff != "" {
			t.Errorf("masking %s changed it: %s", c.text, diff)
		}
	}
}

func TestMaskSharesNothing(t *testing.T) {
	n := parsed(t, sample)
	masked := Mask(n)
	masked.Child("CONNECT_DATA").Set("SERVICE_NAME", "other")
	masked.Child("ADDRESS").Remove("HOST")
	if got := n.String(); got != sample {
		t.Errorf("changing what Mask returned changed the original to %s", got)
	}
}

func TestEscape(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"plain 'text' \"quoted\" C:\\dir", "plain 'text' \"quoted\" C:\\dir"},
		{"größe 表 😀", "größe 表 😀"},
		{"a\r\nb\tc", `a\r\nb\tc`},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"\x00\x7f\a", `\x00\x7f\a`},
		{"\xff\xc3", `\xff\xc3`},
		{"a\u202eb\u2028c\u200bd\u0085", `a\u202eb\u2028c\u200bd\u0085`},
		{"C:\\dir\n'é\"", `C:\dir\n'é"`},
		{"\ufffd", "\ufffd"},
	} {
		if got := Escape(c.text); got != c.want {
			t.Errorf("Escape(%q) is %q, want %q", c.text, got, c.want)
		}
	}
}

func TestEscapedTextIsOneVisibleLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(anyText(), rapid.String()).Draw(t, "text")
		escaped := Escape(text)
		for _, r := range escaped {
			if !unicode.IsPrint(r) {
				t.Fatalf("Escape(%q) leaves %q", text, r)
			}
		}
		if Escape(escaped) != escaped {
			t.Fatalf("Escape(%q) is not safe itself", text)
		}
		if len(escaped) > 10*len(text) {
			t.Fatalf("Escape of %d bytes has %d", len(text), len(escaped))
		}
	})
}

func TestErrorsAreOneVisibleLine(t *testing.T) {
	_, err := Parse("(\x1b[2J \n" + strings.Repeat("é", 100) + "=x)")
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 300 {
		t.Errorf("got %q", err)
	}
}
