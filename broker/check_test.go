package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// checked is one file and every message about it.
type checked struct {
	name, text string
	want       []string // LINE:COLUMN: severity: text
}

const (
	goodAddress = "(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))"
	goodRules   = "(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept)))"
)

// check reads each file, and compares all that is said of it but that nothing acts on a
// parameter yet.
func check(t *testing.T, cases []checked, whole func(text string) string) {
	t.Helper()
	host, _ := os.Hostname()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("cman.ora", []byte(whole(c.text)), 0o600); err != nil {
				t.Fatal(err)
			}
			config, messages := ReadConfig("cman.ora", "")
			var got []string
			failed := false
			for _, m := range messages {
				failed = failed || m.Severity == SeverityError
				if text := withoutPending(m.Text); text != "" {
					got = append(got, fmt.Sprintf("%d:%d: %s: %s", m.Line, m.Column, m.Severity, strings.ReplaceAll(text, "CMAN_"+host, "CMAN_HOST")))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if failed != (config == nil) || failed != (messages.Err() != nil) {
				t.Errorf("config %v, error %v", config, messages.Err())
			}
		})
	}
}

// withoutPending leaves out what is said only until something acts on the parameter.
func withoutPending(text string) string {
	if strings.Contains(text, "is read and checked, but has no effect in this version: ") {
		return ""
	}
	for _, rest := range []string{", which is read and checked, but has no effect in this version", "; that is read and checked, but has no effect in this version"} {
		text = strings.TrimSuffix(text, rest)
	}
	return text
}

func TestCheckAddresses(t *testing.T) {
	check(t, []checked{
		{"none", "", []string{
			"1:1: error: no ADDRESS to listen on: add (ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))",
		}},
		{"no port", "(ADDRESS=(PROTOCOL=tcp)(HOST=cman1))", []string{
			"2:2: error: ADDRESS: the ADDRESS has no PORT: add (PORT=1521), or the port its listener uses",
		}},
		{"port with a name", "(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=ora))", []string{
			`2:37: error: ADDRESS: PORT "ora" is not a port: write a number from 0 to 65535`,
		}},
		{"port too large", "(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=70000))", []string{
			`2:37: error: ADDRESS: PORT "70000" is not a port: write a number from 0 to 65535`,
		}},
		{"template", "(ADDRESS=(PROTOCOL=tcp)(HOST=<fqhost>)(PORT=<lsnport>))", []string{
			"2:25: error: HOST of ADDRESS: <fqhost> is the placeholder of a template: put the real value in its place",
		}},
		{"IPC beside TCP", "(ADDRESS_LIST=(ADDRESS=(PROTOCOL=ipc)(KEY=cman))(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)))", []string{
			"2:16: notice: PROTOCOL=ipc is not listened on: programs on this host use the TCP address",
		}},
		{"IPC alone", "(ADDRESS=(PROTOCOL=ipc)(KEY=cman))", []string{
			"1:1: error: no ADDRESS to listen on: add (ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))",
			"2:2: notice: PROTOCOL=ipc is not listened on: programs on this host use the TCP address",
		}},
		{"SDP", "(ADDRESS=(PROTOCOL=sdp)(HOST=cman1)(PORT=1521))", []string{
			"2:2: error: PROTOCOL=sdp cannot be listened on: use tcp",
		}},
		{"twice", "(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n(ADDRESS=(PROTOCOL=TCP)(HOST=CMAN1)(PORT=1521))", []string{
			"3:2: error: CMAN1:1521 is there already, at cman.ora:2: take one of them out, or change its PORT",
		}},
		{"empty list", "(ADDRESS_LIST=)", []string{
			"2:2: error: no ADDRESS in ADDRESS_LIST: write (ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))",
		}},
		{"in a DESCRIPTION", "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)))", nil},
		{"with more than that", "(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)(QUEUESIZE=100)(RATE_LIMIT=10)(FIREWALL=ON)(PROT=tcp))", []string{
			"2:78: notice: FIREWALL has no effect here: RULE_LIST says who may have which service",
			"2:91: notice: PROT of ADDRESS is not known to this version and has no effect: did you mean PORT?",
		}},
		{"RULE beside", "(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))", []string{
			"3:2: warning: RULE stands outside RULE_LIST, and is read as if it were the next in it: check the parentheses before it",
			"4:72: warning: the rule can never match, since what is in line 3 comes first and matches all that it does: move it before that, or remove it",
		}},
		{"ACTION_LIST beside", "(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n(ACTION_LIST=(MIT=3))", []string{
			"3:2: warning: ACTION_LIST stands outside RULE_LIST, and is read as if it were the next in it: check the parentheses before it",
			"3:2: error: ACTION_LIST stands before any RULE: move it into the rule that it is for",
		}},
	}, func(text string) string { return "CMAN1=(CONFIGURATION=\n" + text + "\n" + goodRules + ")\n" })
}

func TestCheckFiles(t *testing.T) {
	check(t, []checked{
		{"empty", "", []string{
			"1:1: error: no instance in the file: write NAME = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))(RULE_LIST=…))",
		}},
		{"comments alone", "# nothing\n\n#CMAN1=(CONFIGURATION=)\n", []string{
			"1:1: error: no instance in the file: write NAME = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))(RULE_LIST=…))",
		}},
		{"byte order mark, CRLF and tabs", "\ufeffCMAN1=\r\n\t(CONFIGURATION=\r\n\t\t(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\r\n\t\t(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\r\n", nil},
		{"UTF-16", "\xff\xfeC\x00M\x00", []string{
			"1:1: error: cannot be read: it is written in UTF-16: save it as UTF-8 or plain text",
		}},
		{"a program", "\x7fELF\x00\x00", []string{
			"1:1: error: cannot be read: it has bytes that no text has: name a parameter file",
		}},
		{"not closed", "CMAN1=\n (CONFIGURATION=\n  (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n  (RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept)))\n", []string{
			`2:2: error: the parenthesis of "CONFIGURATION" is never closed: add the missing ), in line 4 at the latest`,
		}},
		{"closed once too often", "CMAN1=\n (CONFIGURATION=\n  (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n  (RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept)))))\n", []string{
			"4:117: error: one ) too many: remove it, or look for a ( missing before it",
		}},
		{"a rule not closed", "CMAN1=\n (CONFIGURATION=\n  (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n  (RULE_LIST=\n   (RULE=(SRC=*)(DST=a)(SRV=*)(ACT=accept)\n   (RULE=(SRC=*)(DST=b)(SRV=*)(ACT=accept)))\n  (PARAMETER_LIST=(IDLE_TIMEOUT=5)))\n", []string{
			`5:5: error: RULE is not closed before RULE in line 6: add the missing ) (what does not fit then is in line 2: the parenthesis of "CONFIGURATION" is never closed)`,
		}},
		{"RULE_LIST not closed", "CMAN1=\n (CONFIGURATION=\n  (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n  (RULE_LIST=\n   (RULE=(SRC=*)(DST=a)(SRV=*)(ACT=accept))\n  (PARAMETER_LIST=(IDLE_TIMEOUT=5)))\n", []string{
			`4:4: error: RULE_LIST is not closed before PARAMETER_LIST in line 6: add the missing ) (what does not fit then is in line 2: the parenthesis of "CONFIGURATION" is never closed)`,
		}},
		{"CONFIGURATION closed too early", "CMAN1=\n (CONFIGURATION=\n  (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)))\n  (RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			"4:4: error: RULE_LIST stands outside of CONFIGURATION, which line 3 closes: take out one ) too many there (what does not fit then is in line 4: one ) too many)",
		}},
		{"a rule closed too early", "CMAN1=\n (CONFIGURATION=\n  (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n  (RULE_LIST=\n   (RULE=(SRC=*)(DST=a)(SRV=*)(ACT=accept))\n    (ACTION_LIST=(MIT=3)))\n   (RULE=(SRC=*)(DST=b)(SRV=*)(ACT=accept)))\n  (PARAMETER_LIST=(IDLE_TIMEOUT=5)))\n", []string{
			"6:6: error: ACTION_LIST stands outside of RULE, which line 5 closes: take out one ) too many there (what does not fit then is in line 8: one ) too many)",
		}},
		{"a group not closed", "CMAN1=\n (CONFIGURATION=\n  (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n  (RULE_GROUP=\n   (sales=(RULE_LIST=(RULE=(SRC=*)(DST=a)(ACT=accept))))\n   (hr=(RULE_LIST=(RULE=(SRC=*)(DST=a)(ACT=accept))\n  (PARAMETER_LIST=(IDLE_TIMEOUT=5)))\n", []string{
			`6:9: error: RULE_LIST is not closed before PARAMETER_LIST in line 7: add the missing ) (what does not fit then is in line 6: the parenthesis of "hr" is never closed)`,
		}},
		{"rules in two places", "RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))\nCMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n(RULE_GROUP=(GROUP=(SRV=sales)(RULE_LIST=(RULE=(SRC=*)(DST=*)(ACT=acc)(ACTION_LIST=(RATE=5)))))))\n", []string{
			"1:1: warning: RULE_LIST stands outside of the instances, and is read as part of CMAN1: move it into its CONFIGURATION",
			"1:12: warning: DST=* lets clients that bring their own route (SOURCE_ROUTE) reach any host from here: name the databases' hosts or networks in DST, such as (DST=10.1.0.0/16)",
			"2:1: notice: no rule is about administration (SRV=cmon), which Connection Manager would then refuse: here this host may still use it; add (RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept)) to say so",
			"3:2: warning: the file has RULE_LIST and RULE_GROUP, of which Connection Manager takes one: here their rules are tried in the order of the file",
			"3:43: warning: the rule can never match, since what is in line 1 comes first and matches all that it does: move it before that, or remove it",
		}},
		{"an address not closed", "CMAN1=\n (CONFIGURATION=\n  (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)\n  (RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			`3:4: error: ADDRESS is not closed before RULE_LIST in line 4: add the missing ) (what does not fit then is in line 2: the parenthesis of "CONFIGURATION" is never closed)`,
		}},
		{"parameters outside", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n (PARAMETER_LIST=(IDLE_TIMEOUT=5))\n", []string{
			"2:3: warning: PARAMETER_LIST stands outside of CONFIGURATION, which was closed before it: move one ) from there to the end",
		}},
		{"a quote not closed", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept)))\n(PARAMETER_LIST=(ZONE=\"a)))\n", []string{
			"2:23: error: the quote opened here is never closed: close it, or write a backslash before it if it belongs to the text",
		}},
		{"a name missing", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n(=5)(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			"2:2: error: there is no name before =: write (NAME=value)",
		}},
		{"text between", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n see below (RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			`2:2: error: unexpected "s": close the parenthesis before it, or put all of the value in quotes`,
		}},
		{"YAML", "address: 0.0.0.0:1521\nrules: []\n", []string{
			`1:1: error: no = after "address: 0.0.0.0:1521": write NAME=value, or indent the line if it continues the one above`,
		}},
		{"no CONFIGURATION", "CMAN1=\n (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n (RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept)))\n", nil},
		{"no rules", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)))\n", []string{
			"1:1: warning: no rule is about clients, so every client is refused: add (RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)) to RULE_LIST to let everyone in",
		}},
		{"cmon alone", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=cmon)(ACT=accept))))\n", []string{
			"1:1: warning: no rule is about clients, so every client is refused: add (RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)) to RULE_LIST to let everyone in",
		}},
		{"clients alone", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n(RULE_LIST=(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			"1:1: notice: no rule is about administration (SRV=cmon), which Connection Manager would then refuse: here this host may still use it; add (RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept)) to say so",
		}},
		{"open to every host", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))\n(RULE_LIST=(RULE=(SRC=*)(DST=db1)(SRV=cmon)(ACT=accept))\n(RULE=(SRC=10.0.0.0/8)(DST=*)(SRV=*)(ACT=accept))))\n", []string{
			"3:2: warning: DST=* lets clients that bring their own route (SOURCE_ROUTE) reach any host from here: name the databases' hosts or networks in DST, such as (DST=10.1.0.0/16)",
		}},
		{"twice the same instance", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\ncman1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			"2:1: warning: cman1 is there twice, and only the one at cman.ora:1 counts: rename or take out this one",
		}},
		{"several instances", "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\nCMAN2=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			"1:1: error: the file has several instances, none of them called CMAN_HOST: name one of CMAN1, CMAN2 after the file",
		}},
		{"Oracle 9i", "CMAN=(ADDRESS_LIST=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)))\nCMAN_ADMIN=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1830))\nCMAN_RULES=(RULE_LIST=(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept)))\nCMAN_PROFILE=(PARAMETER_LIST=(MAXIMUM_RELAYS=1024)(IDLE_TIMEOUT=5))\n", []string{
			"1:1: notice: no rule is about administration (SRV=cmon), which Connection Manager would then refuse: here this host may still use it; add (RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept)) to say so",
			"2:1: notice: CMAN_ADMIN has no effect here: administration goes over ADMIN_SOCKET",
			"3:1: notice: CMAN_RULES is how Oracle 9i wrote it, and is read as RULE_LIST: move it into CONFIGURATION",
			"4:1: notice: CMAN_PROFILE is how Oracle 9i wrote it, and is read as PARAMETER_LIST: move it into CONFIGURATION",
			"4:31: notice: MAXIMUM_RELAYS has no effect here: MAX_SESSIONS limits sessions",
		}},
		{"sections beside", "CMAN=(ADDRESS_LIST=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)))\nPARAMETER_LIST=((IDLE_TIMEOUT=5)(LOG_LEVEL=2))\nCMAN_RULES=((RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept)))\n", []string{
			"2:1: warning: PARAMETER_LIST stands outside of the instances, and is read as part of CMAN: move it into its CONFIGURATION",
			"3:1: notice: CMAN_RULES is how Oracle 9i wrote it, and is read as RULE_LIST: move it into CONFIGURATION",
		}},
		{"parameters beside", "wallet_location = (SOURCE=(METHOD=FILE)(METHOD_DATA=(DIRECTORY=/w)))\nSQLNET.WALLET_OVERRIDE = TRUE\nREGISTRATION_INVITED_NODES = 192.168.1.*\nREGISTRATION_INVITED_NODES_CMAN1 = (10.1.0.0/16)\nREGISTRATION_INVITED_NODES_CMAN2 = *\nCMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			"1:1: notice: WALLET_LOCATION: its folder is TLS_WALLET",
			"2:1: notice: SQLNET.WALLET_OVERRIDE has no effect here: it is a client's or a database's, and belongs into sqlnet.ora there",
			"5:1: notice: REGISTRATION_INVITED_NODES_CMAN2 is REGISTRATION_INVITED_NODES of an instance called CMAN2 and has no effect on CMAN1: take out _CMAN2 if it should",
		}},
		{"an alias beside", "SALES=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=sales)))\nCMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			"1:1: notice: SALES is an alias for clients and has no effect here: move it into the tnsnames.ora beside this file",
		}},
		{"a listener.ora", "SID_LIST_LISTENER=(SID_LIST=(SID_DESC=(SID_NAME=a)))\nINBOUND_CONNECT_TIMEOUT_LISTENER=5\n", []string{
			"1:1: error: no instance in the file, which looks like a listener.ora or tnsnames.ora: make a cman.ora of it with broker convert cman.ora",
		}},
		{"a file that is not there", "IFILE=/nonexistent/rules.ora\nCMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			"1:1: error: IFILE: /nonexistent/rules.ora cannot be read: no such file or directory: see whether it is spelt as it is called, and whether this user may read it",
		}},
		{"itself", "IFILE=cman.ora\nCMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))))\n", []string{
			"1:1: error: IFILE=cman.ora: that file includes this one: take one of the two out",
		}},
	}, func(text string) string { return text })
}

// What is as large as a file can be is read, or refused, in no time to speak of, and what is
// said of it stays readable.
func TestCheckHugeFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	good := "CMAN1=(CONFIGURATION=" + goodAddress + goodRules + "(PARAMETER_LIST="
	for _, c := range []struct{ name, text, want string }{
		{"too many bytes", "#" + strings.Repeat("x", 5<<20), "it has more than 4194304 bytes"},
		{"too deep", "CMAN1=" + strings.Repeat("(A=", 100), "more than 64 parentheses are open"},
		{"many comments", strings.Repeat("# nothing\n", 300_000) + good + "(IDLE_TIMEOUT=5)))", ""},
		{"many parameters that are not known", good + strings.Repeat("(NOSUCHTHING=5)\n", 100_000) + "))", "there is more to say than these 1000 messages"},
		{"an error behind many notices", good + strings.Repeat("(NOSUCHTHING=5)\n", 10_000) + "(IDLE_TIMEOUT=x)))", `IDLE_TIMEOUT: "x" is not a time`},
		{"many aliases beside", strings.Repeat("A1=(DESCRIPTION="+goodAddress+"(CONNECT_DATA=(SID=a)))\n", 20_000) + good + "(IDLE_TIMEOUT=5)))", "A1 is an alias"},
		{"many instances", strings.Repeat("A1=(CONFIGURATION="+goodAddress+")\n", 20_000), "A1 is there twice"},
		{"many static services", good + repeated(40_000, "(STATIC_SERVICE=(NAME=s%d)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))\n") + "))", ""},
		{"many addresses", "CMAN1=(CONFIGURATION=" + repeated(40_000, "(ADDRESS=(PROTOCOL=tcp)(HOST=h%d)(PORT=1521))\n") + ")", "this is address 257: leave it at 256"},
		{"many rules", "CMAN1=(CONFIGURATION=" + goodAddress + "(RULE_LIST=" + strings.Repeat("(RULE=(SRC=10.1.2.3)(DST=db1)(SRV=*)(ACT=accept))\n", 10_000) + "))", ""},
		{"a missing parenthesis among many rules", "CMAN1=(CONFIGURATION=" + goodAddress + "(RULE_LIST=\n" + strings.Repeat("(RULE=(SRC=10.1.2.3)(DST=db1)(SRV=*)(ACT=accept))\n", 5_000) +
			"(RULE=(SRC=10.1.2.3)(DST=db1)(SRV=*)(ACT=accept)\n" + strings.Repeat("(RULE=(SRC=10.1.2.3)(DST=db1)(SRV=*)(ACT=accept))\n", 5_000) + "))", "cman.ora:5002:2: error: RULE is not closed before RULE in line 5003: add the missing )"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile("cman.ora", []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			_, messages := ReadConfig("cman.ora", "")
			if took := time.Since(begun); took > mostWait { // a second at most is usual; what grows with the square takes minutes
				t.Errorf("it took %v", took)
			}
			if text := join(messages); !strings.Contains(text, c.want) || len(messages) > maxMessages+2 || len(text) > 1<<20 {
				t.Errorf("%d messages: %.2000s\nwant one with %s", len(messages), text, c.want)
			}
		})
	}
}

// repeated is so many times the text, each with its number in it.
func repeated(count int, text string) string {
	var w strings.Builder
	for i := range count {
		fmt.Fprintf(&w, text, i)
	}
	return w.String()
}

// The same file says the same in any case and spacing.
func TestCaseAndSpacingMakeNoDifference(t *testing.T) {
	plain := "CMAN1=(CONFIGURATION=" + goodAddress + goodRules + "(PARAMETER_LIST=(IDLE_TIMEOUT=5)(ROUTE=redirect)(REGISTRATION_INVITED_NODES=(10.1.0.0/16,db1))))"
	want, messages := ReadConfig(write(t, plain), "")
	if messages.Err() != nil {
		t.Fatal(messages.Err())
	}
	for _, text := range []string{
		strings.ToLower(plain),
		strings.ReplaceAll(strings.ReplaceAll(plain, "(", "\n\t( "), "=", " =\r\n  "),
		strings.ReplaceAll(plain, ")(", ") # ) a comment (\n("),
		strings.ReplaceAll(plain, "(10.1.0.0/16,db1)", "10.1.0.0/16, db1"),
		strings.ReplaceAll(plain, "(10.1.0.0/16,db1)", "(10.1.0.0/16)(db1)"),
		strings.ReplaceAll(plain, "(10.1.0.0/16,db1)", "(10.1.0.0/16)\n,(db1)"),
	} {
		got, messages := ReadConfig(write(t, text), "")
		if messages.Err() != nil {
			t.Errorf("%s\n%v", text, messages.Err())
			continue
		}
		if got.IdleTimeout != want.IdleTimeout || got.Mode != want.Mode || !cmp.Equal(got.Admission.Invited, want.Admission.Invited) || len(got.Rules) != len(want.Rules) || !strings.EqualFold(got.Name, want.Name) {
			t.Errorf("%s\n%+v", text, got)
		}
	}
}

func TestTCPSNeedsACertificate(t *testing.T) {
	file := func(parameters string) string {
		return write(t, "CMAN1=(CONFIGURATION=\n(ADDRESS=(PROTOCOL=tcps)(HOST=cman1)(PORT=2484))\n"+goodRules+"(PARAMETER_LIST="+parameters+"))")
	}
	want := "2:2: error: address cman1:2484 speaks TCPS and has no certificate: add (TLS_CERTIFICATE=file)(TLS_KEY=file), (TLS_WALLET=folder) or (ACME_NAMES=host)"
	if _, messages := ReadConfig(file(""), ""); !strings.Contains(join(messages), want) {
		t.Errorf("%s\nwant %s", join(messages), want)
	}
	config, messages := ReadConfig(file("(TLS_CERTIFICATE=/c.pem)(TLS_KEY=/k.pem)"), "")
	if config == nil {
		t.Errorf("%v", messages)
	}
}

// Includes are read as if they stood in their place, and messages name their file.
func TestIncludes(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"cman.ora":       "IFILE=sub/rules.ora\nCMAN1=(CONFIGURATION=" + goodAddress + goodRules + ")\n",
		"sub/rules.ora":  "IFILE = more.ora\nIDLE_TIMEOUT=soon\n",
		"sub/more.ora":   "SESSION_TIMEOUT=7\nCMAN2=(CONFIGURATION=" + goodAddress + goodRules + ")\n",
		"chain.ora":      "IFILE=chain2.ora\n",
		"chain2.ora":     "IFILE=chain.ora\n",
		"sub/broken.ora": "A=(B\n",
		"outer.ora":      "IFILE=sub/broken.ora\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, messages := ReadConfig("cman.ora", "CMAN1")
	if want := "sub/rules.ora:2:1: error: IDLE_TIMEOUT: \"soon\" is not a time"; !strings.Contains(join(messages), want) {
		t.Errorf("%s\nwant %s", join(messages), want)
	}
	if err := os.WriteFile("sub/rules.ora", []byte("IFILE = more.ora\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, messages := ReadConfig("cman.ora", "CMAN2")
	if config == nil || config.SessionTimeout.Seconds() != 7 || !cmp.Equal(config.Files, []string{"cman.ora", "sub/rules.ora", "sub/more.ora"}) || config.Given["SESSION_TIMEOUT"].Where != "sub/more.ora:1" {
		t.Errorf("%+v, %s", config, join(messages))
	}
	// What covers a rule may be in another file.
	for name, text := range map[string]string{
		"rules.ora": "RULE_LIST=(RULE=(SRC=10.1.0.0/16)(DST=db1)(SRV=*)(ACT=accept))\n",
		"two.ora":   "IFILE=rules.ora\nCMAN1=(CONFIGURATION=" + goodAddress + "(RULE_LIST=\n(RULE=(SRC=10.1.2.3)(DST=db1)(SRV=*)(ACT=reject))))\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, messages = ReadConfig("two.ora", "")
	if want := "two.ora:3:2: warning: the rule can never match, since what is in rules.ora:1 comes first"; !strings.Contains(join(messages), want) {
		t.Errorf("%s\nwant %s", join(messages), want)
	}
	for file, want := range map[string]string{
		"chain.ora": "chain2.ora:1:1: error: IFILE=chain.ora: that file includes this one", "outer.ora": "sub/broken.ora:1:",
	} {
		if _, messages := ReadConfig(file, ""); !strings.Contains(join(messages), want) {
			t.Errorf("%s\nwant %s", join(messages), want)
		}
	}
}

func TestCheckLooksForFiles(t *testing.T) {
	file := write(t, "CMAN1=(CONFIGURATION="+goodAddress+goodRules+"\n(PARAMETER_LIST=(IDLE_TIMEOUT=5)\n(LOG_DIRECTORY=/nonexistent/log)\n(WALLET_LOCATION=/nonexistent/wallet)))")
	config, messages := Check(file, "")
	text := join(messages)
	for _, want := range []string{
		":3:2: warning: LOG_DIRECTORY: there is no /nonexistent/log: the broker starts, and writes nothing there until",
		":4:2: warning: TLS_WALLET: there is no /nonexistent/wallet: it has to be there when the broker starts",
	} {
		if config == nil || !strings.Contains(text, want) {
			t.Errorf("%s\nwant %s", text, want)
		}
	}
}

// Who copies the first sample there is has a configuration of which the broker has nothing to say.
func TestTheFirstSampleIsClean(t *testing.T) {
	page, err := os.ReadFile("../docs/getting-started.md")
	must(t, err)
	_, rest, _ := strings.Cut(string(page), "# cman.ora\n")
	sample, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is no sample")
	}
	path := filepath.Join(t.TempDir(), "cman.ora")
	must(t, os.WriteFile(path, []byte(sample), 0o600))
	if _, messages := ReadConfig(path, ""); len(messages) > 0 {
		t.Errorf("%v", messages)
	}
}
