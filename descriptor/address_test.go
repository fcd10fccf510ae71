package descriptor

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct {
		text     string
		want     Address
		hostPort string
	}{
		{"(ADDRESS=(PROTOCOL=tcp)(HOST=192.168.56.1)(PORT=1521))", Address{"tcp", "192.168.56.1", 1521, ""}, "192.168.56.1:1521"},
		{"(ADDRESS=(PROTOCOL=TCP)(HOST=192.168.133.1  )(PORT=9999))", Address{"TCP", "192.168.133.1", 9999, ""}, "192.168.133.1:9999"},
		{"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1521)))\x00", Address{"tcp", "h", 1521, ""}, "h:1521"},
		{"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=))(ADDRESS=(PROTOCOL=Tcps)(HOST=h)(PORT=2484)))", Address{"Tcps", "h", 2484, ""}, "h:2484"},
		{"(DESCRIPTION=(CONNECT_DATA=(ADDRESS=(HOST=evil)(PORT=1)))(ADDRESS=(HOST=h)(PORT=2)))", Address{"TCP", "h", 2, ""}, "h:2"},
		{"(ADDRESS_LIST=(ADDRESS=(PROTOCOL=tcp)(HOST=a)(PORT=1))(ADDRESS=(PROTOCOL=tcp)(HOST=b)(PORT=2)))", Address{"tcp", "a", 1, ""}, "a:1"},
		{"(DESCRIPTION_LIST=(DESCRIPTION=(ADDRESS_LIST=(LOAD_BALANCE=on)(ADDRESS=(HOST=a)(PORT=1)))))", Address{"TCP", "a", 1, ""}, "a:1"},
		{" ( address = (port = 1521) ( host = h )\r\n(protocol = tcp ) ) ", Address{"tcp", "h", 1521, ""}, "h:1521"},
		{"(ADDRESS=(HOST=::1)(PORT=1))", Address{"TCP", "::1", 1, ""}, "[::1]:1"},
		{"(ADDRESS=(HOST=[fe80::1%eth0])(PORT=1))", Address{"TCP", "fe80::1%eth0", 1, ""}, "[fe80::1%eth0]:1"},
		{"(ADDRESS=(HOST=[ ::1 ] )(PORT=1))", Address{"TCP", "::1", 1, ""}, "[::1]:1"},
		{"(ADDRESS=(HOST=[[x]])(PORT=1))", Address{"TCP", "x", 1, ""}, "x:1"},
		{"(ADDRESS=(HOST=[ [[10.0.0.1] ]])(PORT=1))", Address{"TCP", "10.0.0.1", 1, ""}, "10.0.0.1:1"},
		{"(ADDRESS=(HOST=[x)(PORT=1))", Address{"TCP", "x", 1, ""}, "x:1"},
		{"(ADDRESS=(HOST=h)(PORT=0))", Address{"TCP", "h", 0, ""}, "h:0"},
		{"(ADDRESS=(HOST=h)(PORT=65535)(SEND_BUF_SIZE=1))", Address{"TCP", "h", 65535, ""}, "h:65535"},
		{"(ADDRESS=(PROTOCOL=ipc)(KEY=#29190.1)(KEYPATH=/var/tmp/.oracle_1))", Address{"ipc", "", 0, "#29190.1"}, ":0"},
		{"(ADDRESS=(KEY=EXTPROC1521))", Address{"IPC", "", 0, "EXTPROC1521"}, ":0"},
		{"(ADDRESS=(PROTOCOL=BEQ)(PROGRAM=oracle)(HOST=ignored))", Address{"BEQ", "", 0, ""}, ":0"},
	} {
		got, err := ParseAddress(c.text)
		if err != nil {
			t.Errorf("ParseAddress(%q): %v", c.text, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("ParseAddress(%q): %s", c.text, diff)
		}
		if got.HostPort() != c.hostPort {
			t.Errorf("HostPort of %q is %s, want %s", c.text, got.HostPort(), c.hostPort)
		}
	}
}

func TestParseAddressErrors(t *testing.T) {
	for _, c := range []struct {
		text, problem string
		line, column  int
	}{
		{"(HOST=192.168.133.1  )", `no ADDRESS in "HOST"`, 1, 2},
		{"(DESCRIPTION=\n(ADDRESS=(PROTOCOL=tcp)(HOST=h)))", "the ADDRESS has no PORT", 2, 2},
		{"(ADDRESS=(HOST=h)(PORT=))", "the ADDRESS has no PORT", 1, 2},
		{"(ADDRESS=(PROTOCOL=tcp)(PORT=1521))", "the ADDRESS has no HOST", 1, 2},
		{"(ADDRESS=(HOST= )(PORT=1521))", "the ADDRESS has no HOST", 1, 2},
		{"(ADDRESS=(HOST=[])(PORT=1521))", "the ADDRESS has no HOST", 1, 2},
		{"(ADDRESS=(HOST=[[ ]])(PORT=1))", "the ADDRESS has no HOST", 1, 2},
		{"(ADDRESS=(HOST=h)(PORT=65536))", `PORT "65536" is not a port`, 1, 19},
		{"(ADDRESS=(HOST=h)(PORT=-1))", `PORT "-1" is not a port`, 1, 19},
		{"(ADDRESS=(HOST=h)(PORT=15x))", `PORT "15x" is not a port`, 1, 19},
		{"(ADDRESS=(HOST=h)(PORT=99999999999999999999))", `is not a port`, 1, 19},
		{"(ADDRESS=(HOST=h)(PORT=(x,y)))", "the ADDRESS has no PORT", 1, 2},
		{"(ADDRESS=", "never closed", 1, 1},
	} {
		a, err := ParseAddress(c.text)
		var problem *SyntaxError
		if !errors.As(err, &problem) || a != (Address{}) {
			t.Errorf("ParseAddress(%q) is %v, %v; want a SyntaxError only", c.text, a, err)
			continue
		}
		if !strings.Contains(problem.Problem, c.problem) || problem.Line != c.line || problem.Column != c.column || problem.Remedy == "" {
			t.Errorf("ParseAddress(%q): %v; want line %d, column %d: …%s…", c.text, err, c.line, c.column, c.problem)
		}
	}
	_, err := tree("ADDRESS", leaf("HOST", "h")).Address()
	if err == nil || strings.HasPrefix(err.Error(), "line") {
		t.Errorf("a node that has no place gives %q", err)
	}
}

func TestAddressString(t *testing.T) {
	for _, c := range []struct {
		address Address
		want    string
	}{
		{Address{"TCP", "h", 1521, ""}, "(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521))"},
		{Address{"tcps", "::1", 2484, ""}, "(ADDRESS=(PROTOCOL=tcps)(HOST=::1)(PORT=2484))"},
		{Address{"", "[::1]", 1, ""}, "(ADDRESS=(PROTOCOL=TCP)(HOST=::1)(PORT=1))"},
		{Address{Protocol: "ipc", Key: "#1.1"}, "(ADDRESS=(PROTOCOL=ipc)(KEY=#1.1))"},
		{Address{Protocol: "BEQ"}, "(ADDRESS=(PROTOCOL=BEQ))"},
		{Address{"TCP", "h)(PORT=9", 1, ""}, `(ADDRESS=(PROTOCOL=TCP)(HOST="h)(PORT=9")(PORT=1))`},
	} {
		if got := c.address.String(); got != c.want {
			t.Errorf("%#v is printed %s, want %s", c.address, got, c.want)
		}
	}
}

func TestAddressReadsBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Address{
			Protocol: rapid.SampledFrom([]string{"tcp", "TCP", "tcps", "TCPS", "sdp"}).Draw(t, "protocol"),
			Host:     rapid.StringMatching(`[a-z0-9.:_-]{1,30}`).Draw(t, "host"),
			Port:     int(rapid.Uint16().Draw(t, "port")),
		}
		back, err := ParseAddress(a.String())
		if err != nil || back != a {
			t.Fatalf("%v reads back as %v, %v", a, back, err)
		}
	})
}

func TestAddresses(t *testing.T) {
	n := parsed(t, "(DESCRIPTION_LIST=(DESCRIPTION=(ADDRESS=(HOST=a))(ADDRESS_LIST=(address=(HOST=b))(ADDRESS=(HOST=c)))"+
		"(CONNECT_DATA=(ADDRESS=(HOST=x)))(SECURITY=(ADDRESS=(HOST=y))))(DESCRIPTION=(ADDRESS=(HOST=d)(ADDRESS=(HOST=z)))))")
	var hosts string
	for _, address := range Addresses(n) {
		hosts += address.Text("HOST")
	}
	if hosts != "abcd" {
		t.Errorf("addresses of hosts %s, want abcd", hosts)
	}
	own := parsed(t, "(ADDRESS=(HOST=a))")
	if got := Addresses(own); len(got) != 1 || got[0] != own {
		t.Errorf("the addresses of an ADDRESS are %v", got)
	}
}
