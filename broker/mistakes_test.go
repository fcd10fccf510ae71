package broker

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mistaken is a file with one mistake in it.
type mistaken struct {
	name string
	text string
	want string // LINE:COLUMN: severity: how the text begins
	also string // within the text; what to do
}

const (
	mistakeAddress = "(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))"
	mistakeCmon    = "(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))"
	mistakeRule    = "(RULE=(SRC=10.0.0.0/8)(DST=db1)(SRV=*)(ACT=accept))"
)

// wholeFile has its address in line 2, its rules in lines 4 and 5, its parameters in line 7.
func wholeFile(address, rule, parameters string) string {
	return "cman1 = (CONFIGURATION=\n " + address + "\n (RULE_LIST=\n  " + mistakeCmon + "\n  " + rule + ")\n (PARAMETER_LIST=\n  " + parameters + "))\n"
}

func withAddress(text string) string    { return wholeFile(text, mistakeRule, "(IDLE_TIMEOUT=3)") }
func withRule(text string) string       { return wholeFile(mistakeAddress, text, "(IDLE_TIMEOUT=3)") }
func withParameters(text string) string { return wholeFile(mistakeAddress, mistakeRule, text) }
func sound() string                     { return withParameters("(IDLE_TIMEOUT=3)") }

// replaced is a sound file in which one thing is another.
func replaced(old, text string) string { return strings.Replace(sound(), old, text, 1) }

// Every mistake is told once, where it is, in words that name it and say what to do.
func TestMistakesAreToldOnce(t *testing.T) {
	for _, c := range mistakes() {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			put(t, c.text, "cman.ora")
			config, messages := ReadConfig("cman.ora", "")
			var told []string
			for _, m := range messages {
				if withoutPending(m.Text) != "" && (m.Severity != SeverityNotice || strings.Contains(c.want, ": notice: ")) {
					told = append(told, strings.TrimPrefix(m.String(), "cman.ora:"))
				}
			}
			if len(told) != 1 || !strings.HasPrefix(told[0], c.want) || !strings.Contains(told[0], c.also) {
				t.Errorf("told\n%s\nwant only\n%s … %s", strings.Join(told, "\n"), c.want, c.also)
			}
			if strings.Contains(c.want, ": error: ") != (config == nil) {
				t.Errorf("config %v", config)
			}
		})
	}
}

func mistakes() []mistaken {
	return append(append(mistakesOfAddresses(), mistakesOfRules()...), mistakesOfText()...)
}

func mistakesOfAddresses() []mistaken {
	return []mistaken{
		{"letters in a port", withAddress("(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=15z1))"), `2:38: error: ADDRESS: PORT "15z1" is not a port`, "write a number"},
		{"a protocol of the web", withAddress("(ADDRESS=(PROTOCOL=ssl)(HOST=cman1)(PORT=1521))"), "2:3: error: PROTOCOL=ssl cannot be listened on", "use tcps"},
		{"no host", withAddress("(ADDRESS=(PROTOCOL=tcp)(PORT=1521))"), "2:3: error: ADDRESS: the ADDRESS has no HOST", "add (HOST=name)"},
		{"HOST misspelt", withAddress("(ADDRESS=(PROTOCOL=tcp)(HOSTT=cman1)(PORT=1521))"), "2:26: error: HOSTT of ADDRESS", "did you mean HOST?"},
		{"PORT misspelt", withAddress("(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PROT=1521))"), "2:38: error: PROT of ADDRESS", "did you mean PORT?"},
		{"protocol misspelt", withAddress("(ADDRESS=(PROTOCOL=tpc)(HOST=cman1)(PORT=1521))"), "2:3: error: PROTOCOL=tpc cannot be listened on", "use tcp"},
		{"twice", withAddress(mistakeAddress + "\n " + mistakeAddress), "3:3: error: cman1:1521 is there already, at cman.ora:2", "change its PORT"},
		{"ADDRESS misspelt", withAddress("(ADRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))"), "2:3: error: ADRESS is no part of a CONFIGURATION", "did you mean ADDRESS?"},
		{"no domain", withAddress("(ADDRESS=(PROTOCOL=tcp)(HOST=cman1..)(PORT=1521))"), "2:26: error: HOST=cman1.. has an empty part", "write its whole name"},
		{"port in the host", withAddress("(ADDRESS=(PROTOCOL=tcp)(HOST=cman1:1521)(PORT=1521))"), "2:26: error: HOST=cman1:1521 has a port in it", "(HOST=cman1)(PORT=1521)"},
		{"no parentheses", withAddress("(ADDRESS=cman1:1521)"), "2:3: error: what follows ADDRESS= is not in parentheses", "write (ADDRESS=(PROTOCOL=tcp)"},
		{"template", withAddress("(ADDRESS=(PROTOCOL=tcp)(HOST=${HOST})(PORT=1521))"), "2:26: error: HOST of ADDRESS: ${HOST} is the placeholder", "the real value"},
		{"no address", withAddress(""), "1:1: error: no ADDRESS to listen on", "add (ADDRESS="},
	}
}

func mistakesOfRules() []mistaken {
	rule := func(conditions string) string { return withRule("(RULE=" + conditions + ")") }
	return []mistaken{
		{"deny", rule("(SRC=*)(DST=db1)(SRV=*)(ACT=deny)"), `5:33: error: ACT="deny" is not one of accept, reject, drop, log`, "did you mean reject?"},
		{"allow", rule("(SRC=*)(DST=db1)(SRV=*)(ACT=allow)"), `5:33: error: ACT="allow"`, "did you mean accept?"},
		{"empty ACT", rule("(SRC=*)(DST=db1)(SRV=*)(ACT=)"), "5:33: error: ACT has no value", "write (ACT=accept)"},
		{"no ACT", rule("(SRC=*)(DST=db1)(SRV=*)"), "5:4: error: the rule has no ACT", "write (ACT=accept)"},
		{"SRC misspelt", rule("(SCR=*)(DST=db1)(SRV=*)(ACT=accept)"), "5:10: error: SCR in a RULE", "did you mean SRC?"},
		{"SRV misspelt", rule("(SRC=*)(DST=db1)(SVR=*)(ACT=accept)"), "5:26: error: SVR in a RULE", "did you mean SRV?"},
		{"like nothing", rule("(SRC=*)(DST=db1)(SRV=*)(ACT=accept)(WEEKDAY=1)"), "5:45: error: WEEKDAY in a RULE", "write one of SRC, DST, SRV, ACT"},
		{"redirect", rule("(SRC=*)(DST=db1)(SRV=*)(ACT=redirect)"), "5:33: error: ACT=redirect: ROUTE says how those go on who are let in", "write (ACT=accept)(ACTION_LIST=(ROUTE=redirect))"},
		{"blank in SRV", rule("(SRC=*)(DST=db1)(SRV=sales hr)(ACT=accept)"), "5:26: warning: SRV=sales hr is one name with a blank in it", "write (SRV=sales,hr)"},
		{"SERVICE", rule("(SRC=*)(DST=db1)(SERVICE=*)(ACT=accept)"), "5:26: error: SERVICE in a RULE", "did you mean SRV?"},
		{"SERVICE_NAME", rule("(SRC=*)(DST=db1)(SERVICE_NAME=x)(ACT=accept)"), "5:26: error: SERVICE_NAME in a RULE", "did you mean SRV?"},
		{"ACTION", rule("(SRC=*)(DST=db1)(SRV=*)(ACTION=accept)"), "5:33: error: ACTION in a RULE", "did you mean ACT?"},
		{"stars", rule("(SRC=10.1.2.*)(DST=db1)(SRV=*)(ACT=accept)"), "5:10: warning: SRC=10.1.2.* is read as 10.1.2.0/24", "write it as 10.1.2.0/24"},
		{"netmask", rule("(SRC=10.1.2.0/255.255.255.0)(DST=db1)(SRV=*)(ACT=accept)"), "5:10: error: SRC=10.1.2.0/255.255.255.0 is not a network", "10.1.2.0/24"},
		{"too many bits", rule("(SRC=10.1.2.0/33)(DST=db1)(SRV=*)(ACT=accept)"), "5:10: error: SRC=10.1.2.0/33 is not a network", "10.1.0.0/16"},
		{"range", rule("(SRC=10.1.2.1-10.1.2.9)(DST=db1)(SRV=*)(ACT=accept)"), "5:10: error: SRC=10.1.2.1-10.1.2.9 is no network", "/nn form"},
		{"list", rule("(SRC=10.1.2.1,10.1.2.9)(DST=db1)(SRV=*)(ACT=accept)"), "5:10: error: SRC takes one host or network", "a rule for each"},
		{"port", rule("(SRC=*)(DST=db1:1521)(SRV=*)(ACT=accept)"), "5:17: error: DST=db1:1521 has a port in it", "name the host alone"},
		{"shell variable", rule("(SRC=$CLIENTS)(DST=db1)(SRV=*)(ACT=accept)"), "5:10: error: SRC: $CLIENTS is the placeholder", "the real value"},
		{"Windows variable", rule("(SRC=*)(DST=%DB%)(SRV=*)(ACT=accept)"), "5:17: error: DST: %DB% is the placeholder", "the real value"},
		{"brackets", rule("(SRC=*)(DST=[DBHOST])(SRV=*)(ACT=accept)"), "5:17: error: DST=[DBHOST] is no address", "the real value"},
		{"twice", rule("(SRC=10.0.0.1)(SRC=10.0.0.2)(DST=db1)(SRV=*)(ACT=accept)"), "5:24: error: the rule has SRC twice", "a rule for each"},
		{"RULE misspelt", withRule("(RUL=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))"), "5:4: error: RUL in a RULE_LIST", "did you mean RULE?"},
		{"RULE_LIST misspelt", replaced("RULE_LIST", "RULES_LIST"), "3:3: error: RULES_LIST is no part of a CONFIGURATION", "did you mean RULE_LIST?"},
		{"RULELIST", replaced("RULE_LIST", "RULELIST"), "3:3: error: RULELIST is no part", "did you mean RULE_LIST?"},
		{"only cmon", withRule(""), "1:1: warning: no rule is about clients", "add (RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))"},
		{"no cmon", replaced(mistakeCmon, ""), "1:1: notice: no rule is about administration", "add (RULE=(SRC=127.0.0.1)"},
		{"action as text", rule("(SRC=*)(DST=db1)(SRV=*)(ACT=accept)(ACTION_LIST=(MCT=ten))"), `5:58: error: MCT: "ten" is not a time`, "write seconds"},
		{"action misspelt", rule("(SRC=*)(DST=db1)(SRV=*)(ACT=accept)(ACTION_LIST=(MTC=10))"), "5:58: error: MTC in an ACTION_LIST", "did you mean MCT?"},
		{"actions in the rule", rule("(SRC=*)(DST=db1)(SRV=*)(ACT=accept)(MIT=30)(MCT=9)"), "5:45: warning: MIT stands in the RULE", "write (ACTION_LIST=(MIT=30))"},
		{"the manuals' syntax line", rule("(SRC=*)(DST=db1)(SRV=*)(ACT=accept)(ACTION_LIST=AUT=on)"), "5:45: error: what follows ACTION_LIST= is not in parentheses", "write (ACTION_LIST=(AUT=…))"},
		{"never", withRule("(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept))\n  " + mistakeRule), "6:4: warning: the rule can never match, since what is in line 5", "move it before that"},
	}
}

func mistakesOfText() []mistaken {
	return []mistaken{
		{"a level of others", withParameters("(LOG_LEVEL=debug)"), `7:4: error: LOG_LEVEL: "debug" is not one of off, user, admin, support`, "did you mean support?"},
		{"parameter misspelt", withParameters("(IDLE_TIMEOT=30)"), "7:4: notice: parameter IDLE_TIMEOT is not known", "did you mean IDLE_TIMEOUT?"},
		{"parameter twice", withParameters("(IDLE_TIMEOUT=30)\n  (IDLE_TIMEOUT=60)"), "8:4: warning: IDLE_TIMEOUT is given again", "cman.ora:7"},
		{"no time", withParameters("(IDLE_TIMEOUT=never)"), `7:4: error: IDLE_TIMEOUT: "never" is not a time`, "write seconds"},
		{"parameters without parentheses", withParameters("IDLE_TIMEOUT = 30\n  LOG_LEVEL = off"), "6:3: error: what follows PARAMETER_LIST= is not in parentheses", "(PARAMETER_LIST=(IDLE_TIMEOUT=…))"},
		{"one without", withParameters("(IDLE_TIMEOUT=30)\n  SESSION_TIMEOUT=60"), `8:3: error: what begins with "S" is not in parentheses`, "write (NAME=value)"},
		{"PARAMETER_LIST misspelt", replaced("PARAMETER_LIST", "PARAMETERLIST"), "6:3: error: PARAMETERLIST is no part", "did you mean PARAMETER_LIST?"},
		{"CONFIGURATION misspelt", replaced("CONFIGURATION", "CONFIGURATON"), "1:10: error: CONFIGURATON", "did you mean CONFIGURATION?"},
		{"colon", withParameters("(IDLE_TIMEOUT:30)"), `7:4: error: "IDLE_TIMEOUT:30" stands alone`, "write (NAME=value)"},
		{"SQL comment", "-- mine\n" + sound(), `1:1: error: "--" begins nothing`, "begin comments with #"},
		{"C comment", "// mine\n" + sound(), `1:1: error: "//" begins nothing`, "begin comments with #"},
		{"ini comment", sound() + "; mine\n", `8:1: error: ";" begins nothing`, "begin comments with #"},
		{"JSON", `{"cman": {"address": "x"}}`, "1:1: error: this looks like JSON", "write NAME = (CONFIGURATION=…)"},
		{"manifest", "apiVersion: v1\nkind: ConfigMap\n" + sound(), "1:1: error: this looks like a Kubernetes manifest", "a file of its own"},
		{"template", "CMAN_{{ host }} =\n" + sound(), "1:1: error: {{ host }} is the placeholder", "the real value"},
		{"template in code", "cman = (configuration=(rule_list=\n{% for r in rules %}\n(rule=))\n", "2:1: error: {% for r in rules %} is the placeholder", "the real value"},
		{"no =", replaced("cman1 =", "cman1"), `1:1: error: no = between "cman1" and (`, "write NAME=(…)"},
		{"no ( before a group", replaced("(ADDRESS", "ADDRESS"), `2:2: error: no ( before "ADDRESS"`, "write (NAME=…)"},
		{"no ( before a rule", replaced("(RULE=(SRC=127", "RULE=(SRC=127"), `4:3: error: no ( before "RULE"`, "write (NAME=…)"},
		{"no ) at the end", strings.TrimSuffix(sound(), ")\n"), `1:9: error: the parenthesis of "CONFIGURATION" is never closed`, "add the missing ), in line 7 at the latest"},
		{"no ) of an address", withAddress(strings.TrimSuffix(mistakeAddress, ")")), "2:3: error: ADDRESS is not closed before RULE_LIST in line 3", "add the missing )"},
		{"no ) of a rule", withRule(strings.TrimSuffix(mistakeRule, ")") + "\n" + mistakeRule), "5:4: error: RULE is not closed before RULE in line 6", "add the missing )"},
		{"no ) of the rules", replaced("(ACT=accept)))\n (PARA", "(ACT=accept))\n (PARA"), "3:3: error: RULE_LIST is not closed before PARAMETER_LIST", "add the missing )"},
		{"a ) too many in a rule", replaced(mistakeCmon, mistakeCmon+")"), "5:4: error: RULE stands outside of RULE_LIST, which line 4 closes", "take out one )"},
		{"a ) too many of an address", withAddress(mistakeAddress + ")"), "3:3: error: RULE_LIST stands outside of CONFIGURATION, which line 2 closes", "take out one )"},
		{"a ) too many at the end", sound() + ")\n", "8:1: error: one ) too many", "remove it"},
		{"no end of a quote", withParameters(`(ZONE="a)`), "7:9: error: the quote opened here is never closed", "close it"},
		{"no-break space", withParameters("(IDLE_TIMEOUT=30)\u00a0(SESSION_TIMEOUT=3)"), "7:20: error: there is a U+00A0 here", "type a plain blank"},
		{"typographic quotes", withParameters("(ZONE=“a”)"), "7:4: warning: there is a “ here", `type a plain "`},
		{"an alias as a string", withParameters("(NEXT_HOP=db1:1521)"), "7:4: error: NEXT_HOP: there is no ADDRESS in it", "(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))"},
		{"nothing", "", "1:1: error: no instance in the file", "write NAME = (CONFIGURATION="},
		{"a listener.ora", "LISTENER=(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521)))\nSID_LIST_LISTENER=(SID_LIST=(SID_DESC=(SID_NAME=o)))\n", "1:1: error: no instance in the file, which looks like a listener.ora", "broker convert"},
	}
}

// A cman.ora for containers may have its aliases in comments of its own.
func TestAliasesInComments(t *testing.T) {
	const block = "# CMAN_TNSNAMES_BEGIN\n# app1 =\n#   (description=\n#     (address=(protocol=tcp)(host=db1)(port=1521))%\n#     (connect_data=(service_name=app1)))\n#\n# app2.world = (address=(protocol=tcp)(host=db2)(port=1))\n# CMAN_TNSNAMES_END\n\n"
	file := put(t, strings.Replace(block, "%", "", 1)+withParameters("(USE_SERVICE_AS_TNSNAMES_ALIAS=on)"), t.TempDir(), "cman.ora")
	c, messages := ReadConfig(file, "")
	if messages.Err() != nil || strings.Contains(join(messages), "tnsnames.ora") || len(c.Aliases) != 2 || c.Aliases["APP1"] == nil || c.Aliases["APP2.WORLD"].Line != 7 {
		t.Errorf("%+v\n%s", c, join(messages))
	}
	put(t, "app1=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=other)(PORT=2)))", filepath.Dir(file), "tnsnames.ora")
	if c, _ = ReadConfig(file, ""); c == nil || !strings.Contains(c.Aliases["APP1"].String(), "other") || len(c.Aliases) != 2 {
		t.Errorf("a tnsnames.ora goes before comments: %+v", c)
	}
	must(t, os.WriteFile(file, []byte(strings.Replace(block, "%", ")", 1)+withParameters("(USE_SERVICE_AS_TNSNAMES_ALIAS=on)")), 0o600))
	if _, messages = ReadConfig(file, ""); messages.Err() == nil || !strings.Contains(messages.Err().Error(), file+":5:") {
		t.Errorf("a wrong one: %s", join(messages))
	}
}

// Whoever cannot listen is told why not, and what would do.
func TestListenRemedies(t *testing.T) {
	for host, want := range map[string]string{"nosuch.invalid": "the name means nothing here", "192.0.2.77": "no such address"} {
		_, err := New(testConfig(t, func(c *Config) { c.Addresses[0].Host = host }), nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "(HOST=0.0.0.0)") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if got := listenRemedy(syscall.EACCES); !strings.Contains(got, "1024") {
		t.Error(got)
	}
}
