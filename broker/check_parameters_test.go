package broker

import "testing"

func TestCheckParameters(t *testing.T) {
	check(t, []checked{
		{"nothing to say", "", nil},
		{"lower case and odd spacing", "( idle_timeout =\t5 )\n  (\n route\n=\nredirect\n)", nil},
		{"typing mistake", "(IDLE_TIMEUOT=5)", []string{
			"5:2: notice: parameter IDLE_TIMEUOT is not known to this version and has no effect: did you mean IDLE_TIMEOUT?",
		}},
		{"no such thing", "(NO_SUCH_THING=5)", []string{
			"5:2: notice: parameter NO_SUCH_THING is not known to this version and has no effect: take it out, or look in the documentation for what does the same",
		}},
		{"bad time", "(IDLE_TIMEOUT=soon)", []string{
			`5:2: error: IDLE_TIMEOUT: "soon" is not a time: write seconds, or a number with ms, s, min or h, such as 500ms`,
		}},
		{"negative time", "(SESSION_TIMEOUT=-1)", []string{
			`5:2: error: SESSION_TIMEOUT: "-1" is not a time: write seconds, or a number with ms, s, min or h, such as 500ms`,
		}},
		{"bad number", "(MAX_REG_CONNECTIONS=many)", []string{
			`5:2: error: MAX_REG_CONNECTIONS: "many" is not a number from 1 to 1000000`,
		}},
		{"out of range", "(MAX_HELD=0)", []string{
			`5:2: error: MAX_HELD: "0" is not a number from 1 to 1000000`,
		}},
		{"number too large for an int", "(MAX_SESSIONS=99999999999999999999)", []string{
			`5:2: error: MAX_SESSIONS: "99999999999999999999" is not a number from 0 to 10000000`,
		}},
		{"no value", "(ZONE=)", []string{
			"5:2: error: ZONE: has no value: write one, or take the parameter out",
		}},
		{"bad switch", "(USE_SID_AS_SERVICE=maybe)", []string{
			`5:2: error: USE_SID_AS_SERVICE: "maybe" is not one of on, off: write one of these`,
		}},
		{"bad route", "(ROUTE=proxy)", []string{
			`5:2: error: ROUTE: "proxy" is not one of relay, redirect: did you mean relay?`,
		}},
		{"bad policy", "(POLICY=leastconn)", []string{
			`5:2: error: POLICY: "leastconn" is no policy; use one of adaptive, goodness, sessions, roundrobin, random`,
		}},
		{"bad console", "(CONSOLE_ADDRESS=8521)", []string{
			`5:2: error: CONSOLE_ADDRESS: "8521" is not host:port: write for example 127.0.0.1:8521, or off`,
		}},
		{"bad console port", "(CONSOLE_ADDRESS=localhost:http)", []string{
			`5:2: error: CONSOLE_ADDRESS: "localhost:http" is not host:port: write for example 127.0.0.1:8521, or off`,
		}},
		{"bad nodes", "(REGISTRATION_INVITED_NODES=10.0.0.0/99)", []string{
			`5:2: error: REGISTRATION_INVITED_NODES: node "10.0.0.0/99" is no network; write an address and the number of its leading bits, such as 10.1.0.0/16 or 2001:db8::/32`,
		}},
		{"lists in several spellings", "(REGISTRATION_INVITED_NODES=(10.1.0.0/16, db1))(REGISTRATION_EXCLUDED_NODES=(10.1.9.1)(10.1.9.2))(READY_SERVICES=a , b)", nil},
		{"everyone invited", "(REGISTRATION_INVITED_NODES=*)", []string{
			"5:2: warning: REGISTRATION_INVITED_NODES=* invites everyone: whoever reaches this port can offer any service and gets its clients (CVE-2012-1675): name the databases' hosts or networks, such as 10.1.0.0/16",
		}},
		{"the whole Internet invited", "(REGISTRATION_INVITED_NODES=0.0.0.0/0)", []string{
			"5:2: warning: REGISTRATION_INVITED_NODES=0.0.0.0/0 invites everyone: whoever reaches this port can offer any service and gets its clients (CVE-2012-1675): name the databases' hosts or networks, such as 10.1.0.0/16",
		}},
		{"no node checking", "(VALID_NODE_CHECKING_REGISTRATION=off)", []string{
			"5:2: warning: VALID_NODE_CHECKING_REGISTRATION is off: whoever reaches this port can offer any service and gets its clients (CVE-2012-1675): turn it on and name the databases in REGISTRATION_INVITED_NODES",
		}},
		{"bad node checking", "(VALID_NODE_CHECKING_REGISTRATION=strict)", []string{
			`5:2: error: VALID_NODE_CHECKING_REGISTRATION: "strict" is not one of ON, SUBNET, OFF: write one of these`,
		}},
		{"given twice", "(IDLE_TIMEOUT=5)\n(idle_timeout=6)", []string{
			"6:2: warning: IDLE_TIMEOUT is given again, and only this one counts: take out the one at cman.ora:5, or this one",
		}},
		{"a word alone", "(IDLE_TIMEOUT=5)(immediately)", []string{
			`5:18: error: "immediately" stands alone: write (NAME=value)`,
		}},
		{"Traffic Director Mode", "(TDM=YES)(TDM_THREADING_MODE=DEDICATED)\n(tdm_prcp_max_call_wait_time=60)(TDM_BIND_THREAD=no)", []string{
			"5:2: notice: TDM has no effect here: sessions are relayed one by one, not pooled; the database's own pooling (SERVER=POOLED) is passed on",
			"5:11: notice: TDM_THREADING_MODE has no effect here: it is about Traffic Director Mode; sessions are relayed one by one, not pooled",
			"6:2: notice: TDM_PRCP_MAX_CALL_WAIT_TIME has no effect here: it is about Traffic Director Mode; sessions are relayed one by one, not pooled",
		}},
		{"no Traffic Director Mode", "(TDM=NO)(TDM_THREADING_MODE=)", nil},
		{"a tunnel's server", "(TUNNELING=ON)(GATEWAY_PROCESSES=16)(NON_TUNNEL_GATEWAYS=8)\n(TUNNEL_CAPACITY=32)(TUNNEL_PROBE_INTERVAL=7)", []string{
			"5:2: warning: TUNNELING has no effect here: there are no tunnels: let the inner network's broker be reached through NEXT_HOP or SOURCE_ROUTE",
			"5:16: notice: GATEWAY_PROCESSES has no effect here: there are no gateways; MAX_SESSIONS limits sessions",
			"5:38: notice: NON_TUNNEL_GATEWAYS has no effect here: there are no gateways; MAX_SESSIONS limits sessions",
			"6:2: notice: TUNNEL_CAPACITY has no effect here: there are no tunnels: let the inner network's broker be reached through NEXT_HOP or SOURCE_ROUTE",
			"6:22: notice: TUNNEL_PROBE_INTERVAL has no effect here: there are no tunnels: let the inner network's broker be reached through NEXT_HOP or SOURCE_ROUTE",
		}},
		{"a tunnel's client", "(MAX_TUNNELS=2)\n(TUNNEL_ADDRESS=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=c)(PORT=1))(CONNECT_DATA=(TUNNEL_ID=south))))", []string{
			"5:2: notice: MAX_TUNNELS has no effect here: there are no tunnels: let the inner network's broker be reached through NEXT_HOP or SOURCE_ROUTE",
			"6:2: warning: TUNNEL_ADDRESS has no effect here: there are no tunnels: let the inner network's broker be reached through NEXT_HOP or SOURCE_ROUTE",
		}},
		{"gateways", "(MIN_GATEWAY_PROCESSES=3)(MAX_GATEWAY_PROCESSES=8)(MAX_CONNECTIONS=1024)", []string{
			"5:2: notice: MIN_GATEWAY_PROCESSES has no effect here: one process serves all sessions, and none has to be started in advance",
			"5:27: notice: there are no gateways: MAX_GATEWAY_PROCESSES 8 times MAX_CONNECTIONS 1024 is MAX_SESSIONS=8192",
		}},
		{"one count of gateways", "(MAX_CONNECTIONS=100)", []string{
			"5:2: notice: there are no gateways: MAX_GATEWAY_PROCESSES 16 times MAX_CONNECTIONS 100 is MAX_SESSIONS=1600",
		}},
		{"gateways beside our own", "(MAX_GATEWAY_PROCESSES=8)(MAX_SESSIONS=100)", []string{
			"5:2: notice: MAX_GATEWAY_PROCESSES has no effect beside MAX_SESSIONS, since there are no gateways: take it out",
		}},
		{"bad gateways", "(MAX_GATEWAY_PROCESSES=few)", []string{
			`5:2: error: MAX_GATEWAY_PROCESSES: "few" is not a number from 1 to 1024`,
		}},
		{"logs and traces", "(LOG_LEVEL=SUPPORT)(TRACE_LEVEL=off)(TRACE_TIMESTAMP=on)(DIAG_ADR_ENABLED=ON)(ADR_BASE=/u01)", []string{
			"5:38: notice: TRACE_TIMESTAMP has no effect here: packets are traced on demand: broker trace begins and ends it",
			"5:58: notice: DIAG_ADR_ENABLED has no effect here: there is no ADR; the log goes to standard output, and to LOG_DIRECTORY if that is set",
			"5:79: notice: ADR_BASE has no effect here: there is no ADR; the log goes to standard output, and to LOG_DIRECTORY if that is set",
		}},
		{"native encryption wanted", "(ASO_AUTHENTICATION_FILTER=on)", []string{
			"5:2: warning: ASO_AUTHENTICATION_FILTER has no effect here: it is not enforced: let clients in over TCPS alone, or have databases require encryption (SQLNET.ENCRYPTION_SERVER)",
		}},
		{"a password", "(PASSWORD_CMAN1=5f4dcc3b)", []string{
			"5:2: notice: PASSWORD_CMAN1 has no effect here: no password is asked for: the admin socket is for the user that runs the broker",
		}},
		{"an old timeout", "(ANSWER_TIMEOUT=5)", []string{
			"5:2: notice: ANSWER_TIMEOUT has no effect here: INBOUND_CONNECT_TIMEOUT and OUTBOUND_CONNECT_TIMEOUT say how long to wait",
		}},
		{"compression", "(COMPRESSION=on)(COMPRESSION_LEVELS=(low,high))(COMPRESSION_THRESHOLD=2048)", []string{
			"5:2: notice: COMPRESSION has no effect here: client and instance agree on compression, and the broker carries it",
			"5:18: notice: COMPRESSION_LEVELS has no effect here: client and instance agree on compression, and the broker carries it",
			"5:49: notice: COMPRESSION_THRESHOLD has no effect here: client and instance agree on compression, and the broker carries it",
		}},
		{"rates", "(SERVICE_RATE=100)(CLIENT_RATE=60/min)(BANDWIDTH=10M)(IP_RATE_COUNT=5)(IP_RATE_INTERVAL=1)(IP_RATE_BLOCK=10)", nil},
		{"bad rates", "(SERVICE_RATE=100/day)(BANDWIDTH=fast)", []string{
			`5:2: error: SERVICE_RATE: "100/day" is not a rate: write connects a second, or a number with /s, /min or /h, such as 100/s, or off`,
			`5:24: error: BANDWIDTH: "fast" is not a number of bytes: write for example 65536, 64k, 10M or 1G, or off`,
		}},
		{"half a rate", "(IP_RATE_COUNT=5)", []string{
			"5:2: error: IP_RATE_COUNT counts nothing without a time: add for example (IP_RATE_INTERVAL=1)",
		}},
		{"the other half", "(IP_RATE_BLOCK=5)", []string{
			"5:2: warning: IP_RATE_COUNT is 0, so nobody is ever over it: add for example (IP_RATE_COUNT=100)",
		}},
		{"a rate for no address", "(CONNECTION_RATE=5)", []string{
			"5:2: warning: CONNECTION_RATE counts for no address: add (RATE_LIMIT=yes) to an ADDRESS",
		}},
		{"REST without credentials", "(REST_ADDRESS=cman1.example.com)", []string{
			"5:2: warning: REST_ADDRESS is not listened on, since nobody could be let in: make a file with broker credentials add NAME --role operator --file FILE and add (REST_CREDENTIALS=FILE)",
		}},
		{"REST without certificate", "(REST_ADDRESS=cman1.example.com)(REST_CREDENTIALS=/c)", []string{
			"5:2: error: REST_ADDRESS has no certificate: add (TLS_CERTIFICATE=file)(TLS_KEY=file) or (TLS_WALLET=folder), or a TCPS address with ACME_NAMES, or write (REST_ADDRESS=off)",
		}},
		{"credentials without REST", "(REST_CREDENTIALS=/c)", []string{
			"5:2: warning: REST_CREDENTIALS is of no use without an address: add (REST_ADDRESS=0.0.0.0:1525)",
		}},
		{"bad REST address", "(REST_ADDRESS=https://cman1:1525/)", []string{
			`5:2: error: REST_ADDRESS: "https://cman1:1525/" is not host:port: write for example broker1.example.com:1525, or off`,
		}},
		{"wallet", "(WALLET_LOCATION=(SOURCE=(METHOD=File)(METHOD_DATA=(DIRECTORY=/wallet))))", []string{
			"5:2: notice: WALLET_LOCATION: its folder is TLS_WALLET",
		}},
		{"wallet in the registry", "(WALLET_LOCATION=(SOURCE=(METHOD=REG)(METHOD_DATA=(KEY=SALES))))", []string{
			"5:2: error: WALLET_LOCATION: METHOD=REG cannot be read: put the wallet into a folder and write (METHOD=FILE)(METHOD_DATA=(DIRECTORY=folder))",
		}},
		{"certificate with its key", "(TLS_CERTIFICATE=/c.pem)", nil},
		{"key without certificate", "(TLS_KEY=/k.pem)", []string{
			"5:2: error: TLS_KEY has no TLS_CERTIFICATE: add it",
		}},
		{"two certificates", "(TLS_WALLET=/w)(TLS_CERTIFICATE=/c.pem)", []string{
			"5:17: error: TLS_CERTIFICATE and TLS_WALLET are two certificates: take out one of them",
		}},
		{"old TLS", "(SSL_VERSION=1.0)", []string{
			`5:2: error: SSL_VERSION: "1.0" names no version that this broker speaks: write 1.2 or 1.3`,
		}},
		{"several TLS versions", "(SSL_VERSION=TLSv1.3 or TLSv1.2)", []string{
			"5:2: notice: SSL_VERSION: the lowest of the versions it names, from 1.2 on, is TLS_MIN_VERSION",
		}},
		{"next hop without address", "(NEXT_HOP=db1:1521)", []string{
			"5:2: error: NEXT_HOP: there is no ADDRESS in it: write (NEXT_HOP=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))))",
		}},
		{"next hop to itself", "(NEXT_HOP=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521))))", []string{
			"5:2: error: NEXT_HOP leads back to cman1:1521, where this broker listens: name the database's own listener",
		}},
		{"next hop without port", "(NEXT_HOP=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)))", []string{
			"5:12: error: NEXT_HOP: the ADDRESS has no PORT: add (PORT=1521), or the port its listener uses",
		}},
		{"static service without name", "(STATIC_SERVICE=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))", []string{
			"5:2: error: STATIC_SERVICE: it has no NAME: write (STATIC_SERVICE=(NAME=sales)(INSTANCE=sales1)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))",
		}},
		{"static service without address", "(STATIC_SERVICE=(NAME=sales))", []string{
			"5:2: error: STATIC_SERVICE: it has no ADDRESS: write (STATIC_SERVICE=(NAME=sales)(INSTANCE=sales1)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))",
		}},
		{"static service with a mistake", "(STATIC_SERVICE=(NAME=sales)(INSTANC=s1)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))", []string{
			"5:30: error: STATIC_SERVICE: INSTANC does not belong there: did you mean INSTANCE?",
		}},
		{"static service over a pipe", "(STATIC_SERVICE=(NAME=sales)(ADDRESS=(PROTOCOL=ipc)(KEY=x)))", []string{
			"5:30: error: STATIC_SERVICE: ADDRESS: PROTOCOL=ipc cannot be dialled: use tcp or tcps",
		}},
		{"static service twice", "(STATIC_SERVICE=(NAME=sales)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))\n(STATIC_SERVICE=(NAME=SALES)(ADDRESS=(PROTOCOL=tcp)(HOST=DB1)(PORT=1521)))", []string{
			"6:2: error: STATIC_SERVICE: SALES on DB1:1521 is there already, at cman.ora:5: take one of them out",
		}},
		{"static service on itself", "(STATIC_SERVICE=(NAME=sales)(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1521)))", []string{
			"5:2: error: STATIC_SERVICE sales leads back to cman1:1521, where this broker listens: name the database's own listener, or change PORT of one of them",
		}},
		{"view without map", "(VIEW=(CLIENTS=192.0.2.0/24))", []string{
			"5:2: error: VIEW: it has no MAP: write for example (MAP=(FROM=10.1.0.5)(TO=198.51.100.5))",
		}},
		{"view for no network", "(VIEW=(CLIENTS=everyone)(MAP=(FROM=a)(TO=b)))", []string{
			`5:8: error: VIEW: CLIENTS: "everyone" is not a network: write it as 10.1.0.0/16 or 2001:db8::/32`,
		}},
		{"view to nowhere", "(VIEW=(CLIENTS=192.0.2.0/24)(MAP=(FROM=10.1.0.5)))", []string{
			"5:30: error: VIEW: MAP: it needs both ends: write (MAP=(FROM=10.1.0.5)(TO=198.51.100.5))",
		}},
		{"PROXY protocol", "(PROXY_PROTOCOL=(in=10.0.0.0/8)(out=(DST=db1)(VERSION=v3)))", []string{
			`5:33: error: PROXY_PROTOCOL: OUT: VERSION: "v3" is not one of v1, v2, off: did you mean v1?`,
		}},
		{"service setting with a mistake", "(SERVICE=(NAME=sales)(ROUTES=relay))", []string{
			"5:23: error: SERVICE: ROUTES: no such setting: did you mean ROUTE?",
		}},
		{"limits of a service", "(SERVICE=(NAME=sales)(MAX_SESSIONS=5)(RATE=3))", nil},
		{"placeholder", "(LOG_DIRECTORY=<logdir>)(TRACE_DIRECTORY=<trcdir>)", []string{
			"5:2: error: LOG_DIRECTORY: <logdir> is the placeholder of a template: put the real value in its place",
			"5:26: error: TRACE_DIRECTORY: <trcdir> is the placeholder of a template: put the real value in its place",
		}},
		{"rules inside", "(RULE_LIST=(RULE=(SRC=*)(DST=db2)(SRV=*)(ACT=reject)))", []string{
			"5:2: warning: RULE_LIST stands within PARAMETER_LIST, which is not closed before it: move one ) from the end to there",
		}},
		{"fields of a listener.ora", "(INBOUND_CONNECT_TIMEOUT_CMAN1=5)(SECURE_REGISTER_CMAN1=(TCPS))(DYNAMIC_REGISTRATION_CMAN1=off)(CRS_NOTIFICATION_CMAN1=OFF)", []string{
			"5:35: notice: SECURE_REGISTER_CMAN1: its transports are REGISTRATION_TRANSPORTS",
			"5:65: notice: DYNAMIC_REGISTRATION_CMAN1: off is REGISTRATION_EXCLUDED_NODES=* without invited nodes: nobody registers",
		}},
		{"of another listener", "(INBOUND_CONNECT_TIMEOUT_OTHER=5)", []string{
			"5:2: notice: INBOUND_CONNECT_TIMEOUT_OTHER is INBOUND_CONNECT_TIMEOUT of an instance called OTHER and has no effect on CMAN1: take out _OTHER if it should",
		}},
		{"sqlnet.ora", "(SQLNET.EXPIRE_TIME=10)(NAMES.DIRECTORY_PATH=(TNSNAMES))(TCP.VALIDNODE_CHECKING=yes)\n(TCP.INVITED_NODES=(10.1.*))(TCP.NODELAY=yes)", []string{
			"5:2: notice: SQLNET.EXPIRE_TIME has no effect here: it is a client's or a database's, and belongs into sqlnet.ora there",
			"5:25: notice: NAMES.DIRECTORY_PATH has no effect here: it is a client's, and belongs into sqlnet.ora there",
			"5:58: warning: TCP.VALIDNODE_CHECKING has no effect here: it is not enforced: write RULEs with these addresses as SRC",
			"6:2: warning: TCP.INVITED_NODES has no effect here: it is not enforced: write RULEs with these addresses as SRC and (ACT=accept)",
			"6:30: notice: TCP.NODELAY has no effect here: the system's own network settings count",
		}},
		{"other networks of services", "(DNS_ADDRESS=:53)(DNS_ZONE=db.example)(CONSUL_ADDRESS=127.0.0.1:8500)", nil},
	}, func(text string) string {
		return "CMAN1=(CONFIGURATION=\n" + goodAddress + "\n" + goodRules + "\n(PARAMETER_LIST=\n" + text + "))\n"
	})
}
