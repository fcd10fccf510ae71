package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"servicebroker/descriptor"
	"servicebroker/registration"
)

// converted writes files, converts them, and reads what comes of it.
func converted(t *testing.T, instance string, files map[string]string) (*Config, string, Messages) {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"sqlnet.ora", "listener.ora", "tnsnames.ora", "other.ora"} {
		if text, there := files[name]; there {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
	}
	text, notes := Convert(paths...)
	if text == "" {
		return nil, "", notes
	}
	c, messages := ReadConfig(write(t, text), instance)
	if err := messages.Err(); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return c, text, notes
}

const listenerFile = `# listener.ora Network Configuration File
LISTENER =
  (DESCRIPTION_LIST =
    (DESCRIPTION =
      (ADDRESS = (PROTOCOL = TCP)(HOST = db1.example.com)(PORT = 1521)(RATE_LIMIT=yes))
      (ADDRESS = (PROTOCOL = IPC)(KEY = EXTPROC1521))
    )
  )
LISTENER_DG = (DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db1.example.com)(PORT=1528)))
SID_LIST_LISTENER =
  (SID_LIST =
    (SID_DESC = (GLOBAL_DBNAME = sales.example.com)(ORACLE_HOME = /u01)(SID_NAME = sales1))
    (SID_DESC = (ORACLE_HOME = /u01)(SID_NAME = old))
    (SID_DESC = (SID_NAME = PLSExtProc)(PROGRAM = extproc))
  )
SID_LIST_LISTENER_DG = (SID_LIST=(SID_DESC=(GLOBAL_DBNAME=sales_DGMGRL)(SID_NAME=sales1)))
INBOUND_CONNECT_TIMEOUT_LISTENER = 5
VALID_NODE_CHECKING_REGISTRATION_LISTENER=SUBNET
REGISTRATION_INVITED_NODES_LISTENER=(10.1.0.0/16, db2)
CONNECTION_RATE_LISTENER=10
SERVICE_RATE_LISTENER_DG=20
MAX_REG_CONNECTIONS_LISTENER_DG=7
SECURE_REGISTER_LISTENER=(TCPS)
ADR_BASE_LISTENER = /u01/app
DIAG_ADR_ENABLED_LISTENER_DG = OFF
LOCAL_REGISTRATION_ADDRESS_LISTENER = (ADDRESS=(PROTOCOL=IPC)(KEY=REG))
SOMETHING_LISTENER = 5
USE_SID_AS_SERVICE_LISTENER = ON
`

func TestConvertsAListener(t *testing.T) {
	files := map[string]string{"listener.ora": listenerFile}
	c, _, notes := converted(t, "LISTENER", files)
	if c == nil {
		t.Fatal(notes)
	}
	same(t, "addresses", []descriptor.Address{{Protocol: "tcp", Host: "0.0.0.0", Port: 1521}}, c.Addresses)
	if !c.Listening[0].RateLimited || c.Limits.ConnectionRate != 10 || c.InboundTimeout.Seconds() != 5 || !c.SIDIsService || c.Admission.Mode != registration.CheckSubnet {
		t.Errorf("%+v", c)
	}
	same(t, "admission", []any{[]string{"10.1.0.0/16", "db2"}, []string{"TCPS"}}, []any{c.Admission.Invited, c.Admission.Transports})
	at := descriptor.Address{Protocol: "tcp", Host: "db1.example.com", Port: 1521}
	var services []StaticService
	for _, s := range c.StaticServices {
		s.Where = ""
		services = append(services, s)
	}
	same(t, "static services", []StaticService{{Name: "sales.example.com", Instance: "sales1", Address: at}, {Name: "old", Instance: "old", Address: at}}, services)
	text := join(notes)
	for _, want := range []string{
		"listener.ora:6:8: notice: PROTOCOL=IPC was left out", "HOST=db1.example.com became 0.0.0.0", "PLSExtProc was left out: the broker starts no programs",
		"the database's own listener has to stay at db1.example.com:1521", "ADR_BASE_LISTENER has no effect here and was left out: there is no ADR", "SOMETHING_LISTENER is not known and was left out",
		"LOCAL_REGISTRATION_ADDRESS_LISTENER has no effect here and was left out",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nwant %s", text, want)
		}
	}
	if strings.Contains(text, "DIAG_ADR_ENABLED") {
		t.Errorf("what is off already is spoken of:\n%s", text)
	}
	c, _, _ = converted(t, "LISTENER_DG", files)
	if c.Addresses[0].Port != 1528 || c.Limits.ServiceRate != 20 || c.MaxRegistrations != 7 || c.Limits.ConnectionRate != 0 || len(c.StaticServices) != 1 || c.StaticServices[0].Address.Port != 1528 {
		t.Errorf("%+v", c)
	}
}

const aliasFile = `# tnsnames.ora
HR, hr.world = (DESCRIPTION=(ADDRESS_LIST=(ADDRESS=(PROTOCOL=tcp)(HOST=h1)(PORT=1521))(ADDRESS=(PROTOCOL=tcp)(HOST=h2)(PORT=1521)))(CONNECT_DATA=(SERVICE_NAME=hr.example.com)))
RAC = (DESCRIPTION=(LOAD_BALANCE=on)(ADDRESS=(PROTOCOL=tcp)(HOST=r1)(PORT=1521))(ADDRESS=(PROTOCOL=tcp)(HOST=r2)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=rac)(INSTANCE_NAME=rac1)))
ORCL = (DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1.example.com)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=orcl)))
OLD = (DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h9)(PORT=1521))(CONNECT_DATA=(SID=OLD)))
HOP = (DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS=(PROTOCOL=tcp)(HOST=c1)(PORT=1521))(ADDRESS=(PROTOCOL=tcp)(HOST=c2)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=x)))
TWO = (DESCRIPTION_LIST=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=a)(PORT=1))(CONNECT_DATA=(SERVICE_NAME=x)))(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=b)(PORT=1))(CONNECT_DATA=(SERVICE_NAME=y))))
LISTENERS = (ADDRESS_LIST=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))
EXTPROC = (DESCRIPTION=(ADDRESS=(PROTOCOL=IPC)(KEY=EXTPROC1))(CONNECT_DATA=(SID=PLSExtProc)))
NONE = (DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))(CONNECT_DATA=(SERVER=DEDICATED)))
EZ = db5/sales
`

func TestConvertsAliases(t *testing.T) {
	c, text, notes := converted(t, "", map[string]string{"tnsnames.ora": aliasFile})
	var got []string
	for _, s := range c.StaticServices {
		got = append(got, fmt.Sprintf("%s %s %s %d", s.Name, s.Instance, s.Address.HostPort(), s.Tier))
	}
	same(t, "static services", []string{"hr.example.com  h1:1521 1", "hr.example.com  h2:1521 2", "rac rac1 r1:1521 0", "rac rac1 r2:1521 0", "orcl  db1.example.com:1521 0", "OLD OLD h9:1521 0"}, got)
	if c.Name != DefaultName || c.Addresses[0].Port != 1521 || !c.ServiceIsAlias || len(c.Rules) != 1 {
		t.Errorf("%+v\n%s", c, text)
	}
	for _, want := range []string{
		"HOP goes through several hops or names several services, and is looked up", "TWO goes through several hops", "LISTENERS was left out: it names a listener and no service",
		"an address of EXTPROC was left out: PROTOCOL=IPC cannot be dialled", "NONE was left out: it has neither SERVICE_NAME nor SID", "EZ was left out: it has no ADDRESS",
	} {
		if !strings.Contains(join(notes), want) || !strings.Contains(text, "# tnsnames.ora:") {
			t.Errorf("%s\nwant %s", join(notes), want)
		}
	}
}

// A service at the listener that the broker takes the place of registers by itself.
func TestConvertsBothTogether(t *testing.T) {
	c, _, notes := converted(t, "LISTENER", map[string]string{"listener.ora": listenerFile, "tnsnames.ora": aliasFile})
	for _, s := range c.StaticServices {
		if s.Name == "orcl" {
			t.Errorf("%+v", s)
		}
	}
	if want := "ORCL is at the listener that the broker takes the place of: orcl is there as soon as its database registers with the broker"; !strings.Contains(join(notes), want) {
		t.Errorf("%s\nwant %s", join(notes), want)
	}
}

func TestConvertsClientNodes(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"invited", "TCP.VALIDNODE_CHECKING = yes\ntcp.invited_nodes=(10.1.2.3, 192.168.*, db7,10.9.0.0/16)\n", "10.1.2.3 192.168.0.0/16 db7 10.9.0.0/16"},
		{"excluded", "TCP.VALIDNODE_CHECKING = yes\nTCP.EXCLUDED_NODES=(10.1.2.3)\n", "10.1.2.3! *"},
		{"both", "TCP.VALIDNODE_CHECKING = yes\nTCP.EXCLUDED_NODES=(10.1.2.3)\nTCP.INVITED_NODES=10.1.2.*\n", "10.1.2.0/24 10.1.2.3!"},
		{"not checked", "TCP.INVITED_NODES=(10.1.2.3)\n", "*"},
		{"a wildcard within", "TCP.VALIDNODE_CHECKING = yes\nTCP.INVITED_NODES=(10.*.2.3,10.1.1.1)\n", "10.1.1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, text, _ := converted(t, "", map[string]string{"sqlnet.ora": c.file + "SQLNET.EXPIRE_TIME=10\n"})
			roots, err := descriptor.ParseFile(text)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, rule := range rulesIn(roots[0]) {
				source := rule.Text("SRC")
				if rule.Text("ACT") == "reject" {
					source += "!"
				}
				if rule.Text("SRV") != "cmon" {
					got = append(got, source)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v, want %s\n%s", got, c.want, text)
			}
		})
	}
}

// On the database's own machine both would take the same port.
func TestConvertsAListenerOfThisMachine(t *testing.T) {
	for _, host := range []string{"localhost", "0.0.0.0", "127.0.0.1"} {
		c, _, notes := converted(t, "", map[string]string{"other.ora": "LSNR=(ADDRESS=(PROTOCOL=tcp)(HOST=" + host + ")(PORT=1521))\nSID_LIST_LSNR=(SID_LIST=(SID_DESC=(SID_NAME=x)))\n"})
		if s := c.StaticServices[0]; s.Address.Port != 1522 || c.Addresses[0].Port != 1521 || !strings.Contains(join(notes), "let the database's own listener listen on port 1522") {
			t.Errorf("%+v\n%s", s, join(notes))
		}
	}
}

func TestConvertSaysWhatCannotBeRead(t *testing.T) {
	for name, text := range map[string]string{"listener.ora": "LISTENER=(ADDRESS=(PROTOCOL=tcp)\n", "tnsnames.ora": "IFILE=/nonexistent\n"} {
		if _, _, notes := converted(t, "", map[string]string{name: text}); notes.Err() == nil || !strings.Contains(notes.Err().Error(), name+":1:") {
			t.Errorf("%s: %v", name, notes)
		}
	}
	if _, notes := Convert("/nonexistent/listener.ora"); notes.Err() == nil {
		t.Error("a file that is not there was converted")
	}
	_, _, notes := converted(t, "", map[string]string{"listener.ora": "# nothing\n"})
	if !strings.Contains(join(notes), "there is nothing in it") {
		t.Errorf("%v", notes)
	}
}

// Whatever is converted loads, and services, ports and time limits are those of the files.
func TestConvertedLoads(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "listener.ora")
	names, made := filepath.Join(dir, "tnsnames.ora"), filepath.Join(dir, "cman.ora")
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9_]{0,8}`)
		host := rapid.SampledFrom([]string{"db1", "db2.example.com", "10.1.2.3", "::1", "localhost", "0.0.0.0", "[2001:db8::5]"})
		protocol := rapid.SampledFrom([]string{"tcp", "TCP", "ipc", "tcps", "sdp"})
		address := func() string {
			return fmt.Sprintf("(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d)(KEY=k))", protocol.Draw(t, "protocol"), host.Draw(t, "host"), rapid.IntRange(0, 70000).Draw(t, "port"))
		}
		var listener, aliases strings.Builder
		name := "L" + word.Draw(t, "listener")
		fmt.Fprintf(&listener, "%s=(DESCRIPTION_LIST=(DESCRIPTION=%s%s))\n", name, address(), address())
		sids := map[string]bool{}
		for range rapid.IntRange(0, 4).Draw(t, "sids") {
			sid := word.Draw(t, "sid")
			sids[strings.ToLower(sid)] = true
			fmt.Fprintf(&listener, "SID_LIST_%s=(SID_LIST=(SID_DESC=(SID_NAME=%s)(GLOBAL_DBNAME=%s)))\n", strings.ToUpper(name), sid, sid)
		}
		fmt.Fprintf(&listener, "INBOUND_CONNECT_TIMEOUT_%s=%s\n", name, rapid.SampledFrom([]string{"7", "x", "", "-1"}).Draw(t, "timeout"))
		for range rapid.IntRange(0, 5).Draw(t, "aliases") {
			fmt.Fprintf(&aliases, "%s=(DESCRIPTION=%s%s(CONNECT_DATA=(%s=%s)))\n", word.Draw(t, "alias"), address(), address(), rapid.SampledFrom([]string{"SERVICE_NAME", "SID", "SERVER"}).Draw(t, "by"), word.Draw(t, "service"))
		}
		for path, text := range map[string]string{file: listener.String(), names: aliases.String()} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, notes := Convert(file, names)
		if err := notes.Err(); err != nil {
			t.Fatalf("%s%s\n%v", listener.String(), aliases.String(), err)
		}
		if err := os.WriteFile(made, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, messages := ReadConfig(made, "")
		if c == nil {
			t.Fatalf("%s\n%v", text, messages.Err())
		}
		for _, s := range c.StaticServices {
			delete(sids, strings.ToLower(s.Name))
		}
		if len(sids) > 0 {
			t.Fatalf("%v are missing\n%s", sids, text)
		}
	})
}

// rulesIn are all RULEs at or below n.
func rulesIn(n *descriptor.Node) []*descriptor.Node {
	if strings.EqualFold(n.Name, "RULE") {
		return []*descriptor.Node{n}
	}
	var all []*descriptor.Node
	for _, child := range n.Children {
		all = append(all, rulesIn(child)...)
	}
	return all
}
