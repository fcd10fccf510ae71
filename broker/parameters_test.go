package broker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"servicebroker/descriptor"
)

// Every row of the table is whole, and is found by its name in any case.
func TestTheParameterTable(t *testing.T) {
	kinds := map[ParameterKind]bool{KindOracle: true, KindMapped: true, KindReplaced: true, KindOurs: true}
	seen := map[string]bool{}
	for _, p := range Parameters() {
		if p.Name != strings.ToUpper(p.Name) || seen[p.Name] || !kinds[p.Kind] || p.Meaning == "" {
			t.Errorf("%+v", p)
		}
		seen[p.Name] = true
		if family := strings.HasSuffix(p.Name, "*"); p.set == nil && !family && p.Kind != KindReplaced && p.Name != "ADDRESS" {
			t.Errorf("%s is not read", p.Name)
		}
		if strings.Contains(p.Meaning+p.Cost+p.Range+p.Default, "|") || strings.HasSuffix(p.Meaning, ".") {
			t.Errorf("%s does not fit into a table: %q", p.Name, p.Meaning)
		}
		if found := parameter(strings.ToLower(p.Name)); found == nil || found.Name != p.Name {
			t.Errorf("%s is found as %+v", p.Name, found)
		}
	}
	for name, want := range map[string]string{
		"TDM": "TDM", "tdm_prcp_max_call_wait_time": "TDM_*", "TRACE_FILENO": "TRACE_FILENO", "TRACE_TIMESTAMP": "TRACE_*", "LOG_DIRECTORY": "LOG_DIRECTORY", "log_file": "LOG_*",
		"SQLNET.WALLET_OVERRIDE": "SQLNET.*", "TCP.NODELAY": "TCP.*", "TCP.INVITED_NODES": "TCP.INVITED_NODES", "ADR_BASE": "ADR_BASE*", "PASSWORD_CMAN1": "PASSWORD*",
	} {
		if p := parameter(name); p == nil || p.Name != want {
			t.Errorf("%s is %+v, want %s", name, p, want)
		}
	}
}

// Every parameter of Connection Manager's documents and of public files is known.
func TestConnectionManagersParametersAreKnown(t *testing.T) {
	x := newParameterIndex()
	for _, name := range strings.Fields(`ADDRESS NEXT_HOP USE_SERVICE_AS_TNSNAMES_ALIAS USE_SID_AS_SERVICE ASO_AUTHENTICATION_FILTER CONNECTION_STATISTICS
		EVENT_GROUP IDLE_TIMEOUT SESSION_TIMEOUT INBOUND_CONNECT_TIMEOUT OUTBOUND_CONNECT_TIMEOUT EXPIRE_TIME MAX_CONNECTIONS MIN_GATEWAY_PROCESSES
		MAX_GATEWAY_PROCESSES MAX_CMCTL_SESSIONS MAX_ALL_CONNECTIONS MAX_REG_CONNECTIONS SERVICE_RATE IP_RATE_COUNT IP_RATE_INTERVAL IP_RATE_BLOCK
		BANDWIDTH SERVICE_AFFINITY COMPRESSION COMPRESSION_LEVELS COMPRESSION_THRESHOLD SDU VALID_NODE_CHECKING_REGISTRATION REGISTRATION_INVITED_NODES
		REGISTRATION_EXCLUDED_NODES REMOTE_ADMIN PASSWORD_CMAN1 REST_ADDRESS ENABLE_IP_FORWARDING TUNNELING GATEWAY_PROCESSES NON_TUNNEL_GATEWAYS
		TUNNEL_CAPACITY TUNNEL_PROBE_INTERVAL MAX_TUNNELS TUNNEL_ADDRESS TDM TDM_THREADING_MODE TDM_SHARED_THREADS_MIN TDM_SHARED_THREADS_MAX TDM_BIND_THREAD
		TDM_DATATYPE_CHECK TDM_PRCP_MAX_CALL_WAIT_TIME TDM_PRCP_MAX_TXN_CALL_WAIT_TIME TDM_STATS_FREQUENCY TDM_PERPDB_PRCP_CONNFACTOR LOG_LEVEL TRACE_LEVEL
		LOG_DIRECTORY TRACE_DIRECTORY TRACE_FILELEN TRACE_FILENO TRACE_TIMESTAMP DIAG_ADR_ENABLED ADR_BASE WALLET_LOCATION SQLNET.WALLET_OVERRIDE SSL_VERSION
		SSL_CLIENT_AUTHENTICATION SSL_CIPHER_SUITES USE_SNI SAVE_PASSWD ADMIN_RESTRICTIONS DEFAULT_SERVICE ENABLE_GLOBAL_DYNAMIC_ENDPOINT CONNECTION_RATE
		SUBSCRIBE_FOR_NODE_DOWN_EVENT LOCAL_REGISTRATION_ADDRESS REMOTE_REGISTRATION_ADDRESS DEDICATED_THROUGH_BROKER CRS_NOTIFICATION ENABLE_EXADIRECT
		SECURE_REGISTER SECURE_CONTROL SECURE_PROTOCOL DYNAMIC_REGISTRATION ANSWER_TIMEOUT AUTHENTICATION_LEVEL MAXIMUM_CONNECT_DATA MAXIMUM_RELAYS
		RELAY_STATISTICS SHOW_TNS_INFO TRACING USE_ASYNC_CALL MAX_FREELIST_BUFFERS`) {
		if x.find(name) == nil {
			t.Errorf("%s is not known", name)
		}
		if p := x.findOf(strings.ToLower(name)+"_cman1", "CMAN1"); name != "PASSWORD_CMAN1" && (p == nil || p.Name != x.find(name).Name) {
			t.Errorf("%s_cman1 is %+v", name, p)
		}
	}
}

// The notice that nothing acts on a parameter is there exactly as long as its row says so, and
// so is the notice of what replaces one.
func TestNoticesFollowTheTable(t *testing.T) {
	for _, p := range Parameters() {
		name := strings.Replace(p.Name, "*", "_X", 1)
		if p.Name == "ADDRESS" || strings.HasPrefix(name, "LOG_X") {
			continue
		}
		r := &reader{file: "f", config: DefaultConfig(), known: newParameterIndex(), at: map[string]*descriptor.Node{}}
		r.config.Name = "CMAN1"
		r.sayKind(&p, &descriptor.Node{Name: name, Value: "on"})
		text := join(r.messages)
		counted := name == "MAX_CONNECTIONS" || name == "MAX_GATEWAY_PROCESSES"
		if got := strings.Contains(text, "has no effect in this version"); got != (p.Pending && !counted) {
			t.Errorf("%s, pending %v: %s", name, p.Pending, text)
		}
		if got := strings.Contains(text, "has no effect here: "+p.Meaning); got != (p.Kind == KindReplaced) {
			t.Errorf("%s, %s: %s", name, p.Kind, text)
		}
	}
}

// What stands in the table as default is the default, where it can be written down.
func TestDefaultsAreWhatTheTableSays(t *testing.T) {
	for _, p := range Parameters() {
		if p.set == nil || p.Default == "" || p.Kind == KindReplaced || p.Kind == KindMapped || strings.ContainsAny(p.Default, "<$ ") {
			continue
		}
		c := DefaultConfig()
		if err := p.set(c, &descriptor.Node{Name: p.Name, Value: p.Default}); err != nil {
			t.Errorf("%s=%s: %v", p.Name, p.Default, err)
			continue
		}
		want := DefaultConfig()
		switch p.Name { // whose default is what nothing means
		case "REGISTRATION_TRANSPORTS":
			want.Admission.Transports = []string{"TCP", "TCPS"}
		case "BROKERS":
			want.Brokers = 1
		}
		if !reflect.DeepEqual(c, want) {
			t.Errorf("%s=%s is not the default: %s", p.Name, p.Default, firstDifference(c, want))
		}
	}
}

func firstDifference(a, b *Config) string {
	va, vb := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range va.NumField() {
		if x, y := va.Field(i).Interface(), vb.Field(i).Interface(); !reflect.DeepEqual(x, y) {
			return fmt.Sprintf("%s: %v, not %v", va.Type().Field(i).Name, x, y)
		}
	}
	return ""
}

func TestRatesAndSizes(t *testing.T) {
	for text, want := range map[string]float64{"100": 100, "100/s": 100, " 90 / min ": 1.5, "7200/h": 2, "off": 0, "0": 0, "0.5": 0.5} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("rate %q = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "5/day", "NaN", "Inf", "/s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("rate %q = %v, want an error", text, got)
		}
	}
	for text, want := range map[string]int64{"65536": 65536, "64k": 65536, "10M": 10 << 20, "1g": 1 << 30, "1.5 kB": 1536, "10MB/s": 10 << 20, "off": 0} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("size %q = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "9e99", "k"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("size %q = %v, want an error", text, got)
		}
	}
}
