package broker

import (
	"strings"
	"testing"
)

// asFound is a file in one of the styles that people have.
type asFound struct {
	name string
	text string
	// loads is the instance it loads as; "" if it does not.
	loads string
	// says is what is said, each part in one of the messages: LINE:COLUMN: severity: begin. Other errors and
	// warnings are not.
	says []string
}

// Files of every release, in every style, load, or fail with the right place.
func TestFilesAsPeopleHaveThem(t *testing.T) {
	for _, c := range filesAsFound() {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			put(t, c.text, "cman.ora")
			config, messages := ReadConfig("cman.ora", "")
			if (config == nil) != (c.loads == "") || config != nil && config.Name != c.loads {
				t.Errorf("loads %+v, want %q:\n%s", config, c.loads, join(messages))
			}
			wanted := map[string]bool{}
			for _, says := range c.says {
				wanted[says] = true
			}
			for _, m := range messages {
				text, found := strings.TrimPrefix(m.String(), "cman.ora:"), false
				for says := range wanted {
					if strings.HasPrefix(text, says) {
						delete(wanted, says)
						found = true
					}
				}
				if !found && m.Severity != SeverityNotice && !strings.HasPrefix(m.Text, "DST=* lets clients") && !strings.Contains(m.Text, "invites everyone") {
					t.Errorf("unexpected: %s", text)
				}
			}
			for says := range wanted {
				t.Errorf("%q is not said:\n%s", says, join(messages))
			}
		})
	}
}

// In the rules of an Oracle 9i x is what * is later.
func TestRulesOfOracle9i(t *testing.T) {
	c, messages := ReadConfig(put(t, "C=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))\nC_RULES=(RULE_LIST=(RULE=(SRC=x)(DST=X)(SRV=x)(ACT=acc)))", t.TempDir(), "cman.ora"), "")
	if messages.Err() != nil || len(c.Rules) != 1 || !c.Rules[0].Source.Any || !c.Rules[0].Destination.Any || c.Rules[0].Services[0] != "*" {
		t.Errorf("%+v\n%s", c, join(messages))
	}
}

func filesAsFound() []asFound {
	const accept = "(rule_list=(rule=(src=*)(dst=*)(srv=*)(act=accept))(rule=(src=h)(dst=127.0.0.1)(srv=cmon)(act=accept)))"
	// As in the manuals from 10g to 26ai: the rule is closed before its ACTION_LIST.
	const manual = "CMAN=\n (CONFIGURATION=\n  (ADDRESS=(PROTOCOL=tcp)(HOST=gate)(PORT=1521))\n  (RULE_LIST=\n   (RULE=(SRC=192.0.2.64/27)(DST=erp-server)(SRV=*)(ACT=accept))\n     (ACTION_LIST=(AUT=on)(MCT=60)(MIT=9)))\n" +
		"   (RULE=(SRC=admin1)(DST=gate)(SRV=cmon)(ACT=accept)))\n  (PARAMETER_LIST=\n   (MAX_GATEWAY_PROCESSES=4)\n   (MIN_GATEWAY_PRCESSSES=2)\n   (ADR_BASE=/var/adr)))\n"
	return []asFound{
		{"the manuals' own sample", manual, "", []string{"6:7: error: ACTION_LIST stands outside of RULE, which line 5 closes: take out one ) too many there"}},
		{"the manuals' sample, corrected", strings.Replace(manual, "(ACT=accept))\n     (AC", "(ACT=accept)\n     (AC", 1), "CMAN",
			[]string{"10:5: notice: parameter MIN_GATEWAY_PRCESSSES is not known to this version and has no effect: did you mean MIN_GATEWAY_PROCESSES?"}},
		{"Oracle 9i", "CMAN=(ADDRESS=(PROTOCOL=tcp)(HOST=gate)(PORT=1630))(ADDRESS=(PROTOCOL=tcp)(HOST=gate)(PORT=1631))\nCMAN_ADMIN=(ADDRESS=(PROTOCOL=tcp)(HOST=gate)(PORT=1830))\n" +
			"CMAN_RULES=(RULE_LIST=(RULE=(SRC=192.0.2.64/27)(DST=erp)(SRV=*)(ACT=acc))(RULE=(SRC=10.1.x.x)(DST=x)(SRV=x)(ACT=rej)))\nCMAN_PROFILE=(PARAMETER_LIST=(LOG_LEVEL=2)(TRACING=on)(MAXIMUM_RELAYS=8))\n", "CMAN",
			[]string{"2:1: notice: CMAN_ADMIN has no effect", "3:1: notice: CMAN_RULES is how Oracle 9i wrote it", "3:81: warning: SRC=10.1.x.x is read as 10.1.0.0/16", "4:1: notice: CMAN_PROFILE is how"}},
		{"Oracle 9i with one ) too many", "CMAN=(ADDRESS=(PROTOCOL=tcp)(HOST=gate)(PORT=1630))\nCMAN_RULES=\n (RULE=(SRC=192.0.2.64/27)(DST=erp)(SRV=*)(ACT=accept)))\n", "",
			[]string{"3:56: error: one ) too many: remove it"}},
		{"a container's", "# CMAN Alias\nCMAN_gate.example.com =\n(configuration=\n  # Listening address of the cman\n  (address=(protocol=tcp)(host=gate.example.com)(port=1521))\n  (parameter_list =\n    # on/off\n    (connection_statistics=yes)\n    (trace_level=user)\n" +
			"    (registration_invited_nodes=*) \n    (TDM=no)\n    (TDM_THREADING_MODE=)\n  )\n\n  # act = Action: 'accept', 'reject' or 'drop'\n  (rule_list=\n    (rule=\n       (src=*)(dst=*)(srv=*)(act=accept)\n       (action_list=(aut=off)(moct=0)(mct=0)(mit=0)(conn_stats=on))\n    )\n  )\n)\n",
			"CMAN_gate.example.com", nil},
		{"a container's template", "CMAN_###H###.###D### =\n(configuration=\n  (address=(protocol=tcp)(host=###H###.###D###)(port=###P###))\n  " + accept + ")", "",
			[]string{"3:27: error: HOST of ADDRESS: ###H### is the placeholder of a template"}},
		{"a container without a domain", "CMAN_h.. = (configuration=(address=(protocol=tcp)(host=h..)(port=1521))" + accept + ")", "", []string{"1:51: error: HOST=h.. has an empty part"}},
		{"all that a sample has", "CMAN_h = (configuration=(address=(protocol=tcp)(host=h)(port=1521))\n(parameter_list=(aso_authentication_filter=off)(connection_statistics=yes)(log_level=off)(max_connections=256)(idle_timeout=0)(inbound_connect_timeout=0)(session_timeout=0)(outbound_connect_timeout=0)" +
			"(max_gateway_processes=16)(min_gateway_processes=2)(remote_admin=on)(trace_level=off)(trace_timestamp=off)(trace_filelen=1000)(trace_fileno=1)(max_cmctl_sessions=4)(event_group=init_and_term,memory_ops))\n" + accept + ")", "CMAN_h", nil},
		{"Traffic Director Mode", "proxy =\n  (configuration =\n    (address = (protocol = tcp)(host = gate)(port = 1521))\n    (parameter_list =\n      (tdm = true)\n      (tdm_threading_mode = dedicated)\n      (tdm_prcp_max_call_wait_time = 60)\n      (service_affinity = off)\n      (registration_invited_nodes = 10.0.2.0/24))\n" +
			"    (rule_list =\n      (rule = (src = 10.0.1.0/24)(dst = *)(srv = SALES)(act = accept))\n      (rule = (src = gate)(dst = 127.0.0.1)(srv = cmon)(act = accept))\n      (rule = (src = *)(dst = *)(srv = *)(act = reject))))\n", "proxy",
			[]string{"5:8: notice: TDM has no effect here"}},
		{"a tunnel's server", "s = (CONFIGURATION=(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521))(PARAMETER_LIST=(TUNNELING=ON)(GATEWAY_PROCESSES=16)(NON_TUNNEL_GATEWAYS=8)(TUNNEL_CAPACITY=32)(TUNNEL_PROBE_INTERVAL=7))" + accept + ")", "s",
			[]string{"1:80: warning: TUNNELING has no effect here: there are no tunnels"}},
		{"a tunnel's client", "c=(CONFIGURATION=(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521))\n(TUNNEL_ADDRESS=(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=p)(PORT=1521))(CONNECT_DATA=(TUNNEL_ID=south))))(PARAMETER_LIST=(MAX_TUNNELS=2))" + accept + ")", "c",
			[]string{"2:2: warning: TUNNEL_ADDRESS has no effect here"}},
		{"parameters after the instance", "CMAN_h =\n   (CONFIGURATION=\n    (ADDRESS=(PROTOCOL=TCP)(HOST=h)(port=1521))\n    " + accept + "\n   )\n\nVALID_NODE_CHECKING_REGISTRATION = on\nREGISTRATION_INVITED_NODES_cman_h = 192.0.2.*\nWALLET_LOCATION = (SOURCE=(METHOD=File)(METHOD_DATA=(DIRECTORY=/w)))\nSQLNET.WALLET_OVERRIDE = TRUE\n",
			"CMAN_h", nil},
		{"values that are not there", "c=(CONFIGURATION=(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521))\n(PARAMETER_LIST=(IDLE_TIMEOUT=)(REGISTRATION_INVITED_NODES=())(TRACE_LEVEL=))" + accept + ")", "c",
			[]string{"2:18: warning: IDLE_TIMEOUT has no value, and is as if it were not there", "2:33: warning: REGISTRATION_INVITED_NODES has no value"}},
		{"a value in parentheses", "c=(CONFIGURATION=(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521))" + accept + ")\nDEFAULT_SERVICE_c = (XE)\n", "c", nil},
		{"a password", "c=(CONFIGURATION=(ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521))" + accept + ")\nPASSWORD_c = (1234567890ABCDEF)\n#----ADDED BY TNSLSNR 01-JAN-2020 00:00:00---\nPASSWORDS_c= (FEDCBA0987654321)\n#--------------------------------------------\n", "c",
			[]string{"2:1: notice: PASSWORD_C has no effect", "4:1: notice: PASSWORDS_C has no effect"}},
		{"parameters without parentheses", "CMAN =\n  (CONFIGURATION =\n    (ADDRESS = (PROTOCOL = TCP)(HOST = 0.0.0.0)(PORT = 1521))\n    " + accept + "\n    (PARAMETER_LIST =\n      MAX_CONNECTIONS = 256\n      LOG_LEVEL = USER\n    )\n  )\n", "",
			[]string{"5:6: error: what follows PARAMETER_LIST= is not in parentheses"}},
		{"sections beside the instance", "CMAN = (ADDRESS_LIST =\n    (ADDRESS = (PROTOCOL=tcp)(HOST=h)(PORT=1521))\n)\nPARAMETER_LIST = (\n    (MAX_GATEWAY_PROCESSES=8)\n)\nCMAN_RULES = (\n    (RULE = (SRC=192.0.2.*)(DST=db)(SRV=orcl)(ACT=accept))\n)\n", "CMAN",
			[]string{"4:1: warning: PARAMETER_LIST stands outside of the instances", "7:1: notice: CMAN_RULES", "8:14: warning: SRC=192.0.2.* is read as 192.0.2.0/24"}},
		{"groups, two protocols and another wallet", "c=(configuration=(address_list=(address=(protocol=TCP)(host=h)(port=1))(address=(protocol=ipc)(key=c)))\n(rule_group=(group=(description=(srv=sales,hr)(rule_list=(rule=(src=*)(dst=*)(srv=sales)(act=accept))(rule=(src=*)(dst=*)(srv=hr)(act=drop)))))))\n", "c",
			[]string{"1:73: notice: PROTOCOL=ipc is not listened on"}},
		{"Windows", "c = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1521))\r\n\t" + accept + "\r\n\t(PARAMETER_LIST=(TRACE_DIRECTORY=C:\\app\\oracle product\\trace)))\r\n", "c", nil},
		{"quotes", `c = (CONFIGURATION=(ADDRESS=(PROTOCOL="tcp")(HOST='h')(PORT="1521"))(RULE_LIST=(RULE=(SRC="*")(DST="*")(SRV="*")(ACT="accept"))))`, "c", nil},
		{"comments in lines", "c = # mine\n (CONFIGURATION= # here\n  (ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1521)) # there\n  (RULE_LIST= (RULE=(SRC=*)#any\n   (DST=*)(SRV=*)(ACT=accept))\n  # (RULE=(SRC=x)(DST=y)\n  (RULE=(SRC=h)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))))\n", "c", nil},
		{"IPv6", "c=(configuration=(address=(protocol=tcp)(host=::)(port=1))(rule_list=(rule=(src=2001:db8::/32)(dst=fd00::1)(srv=*)(act=accept))(rule=(src=::1)(dst=::1)(srv=cmon)(act=accept))))", "c", nil},
		{"an include that is not there", "IFILE=/nowhere/common.ora\nc=(configuration=(address=(protocol=tcp)(host=h)(port=1))" + accept + ")", "", []string{"1:1: error: IFILE: /nowhere/common.ora cannot be read"}},
		{"several", "one=(configuration=(address=(protocol=tcp)(host=h)(port=1))" + accept + ")\ntwo=(configuration=(address=(protocol=tcp)(host=h)(port=2))" + accept + ")\n", "", []string{"1:1: error: the file has several instances"}},
		{"a rule of the STIG", "c=(configuration=(address=(protocol=tcp)(host=h)(port=1))(rule_list=(rule=(src=[IP]/27)(dst=db)(srv=*)(act=accept))))", "", []string{"1:76: error: SRC=[IP]/27 is not a network"}},
	}
}
