package broker

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/loadbalance"
	"servicebroker/registration"
	"servicebroker/relay"
)

// Config is everything one broker runs by. [DefaultConfig] has the defaults;
// [ReadConfig] reads a cman.ora on top of them. Times of 0 mean "no limit"
// unless said otherwise.
type Config struct {
	Name      string               // instance name, as in cman.ora
	File      string               // where it was read from; empty for the built-in default
	Files     []string             // all files that were read for it: the one above and what it includes
	Addresses []descriptor.Address // where it listens
	Listening []ListenSettings     // what is different for each of Addresses, at the same place; may be shorter
	Rules     relay.Rules          // nil: everyone may have every registered service
	// AdminRules are those for SRV=cmon; nil: whoever else may give administrative commands may.
	AdminRules relay.Rules
	Mode       relay.Mode       // ROUTE
	Services   []ServiceSetting // SERVICE: what is different for some services; the first that fits applies
	Given      map[string]Given // the parameters that the file sets, by name

	Policy                loadbalance.Policy // POLICY
	Brokers               int                // BROKERS
	SlowStart             time.Duration      // SLOW_START
	Zone                  string             // ZONE
	PreferLeastLoadedNode bool               // PREFER_LEAST_LOADED_NODE

	Hedge          time.Duration // HEDGE; 0 is off
	HedgeLearnt    bool          // HEDGE is not set: it is learnt
	ProbeInterval  time.Duration // PROBE_INTERVAL; 0 is off
	ProbeTimeout   time.Duration // PROBE_TIMEOUT
	RedirectVerify bool          // REDIRECT_VERIFY
	StaleTimeout   time.Duration // STALE_TIMEOUT
	TableMemory    time.Duration // TABLE_MEMORY; 0 keeps no table on disk
	MoveWindow     time.Duration // MOVE_WINDOW

	HoldTimeout     time.Duration // HOLD_TIMEOUT; 0 is off
	HoldMemory      time.Duration // HOLD_MEMORY; 0 holds only what operators hold
	HoldShare       float64       // HOLD_SHARE, a part of MaxHeld
	HoldClientShare float64       // HOLD_CLIENT_SHARE, a part of MaxHeld; 1: no bound
	HoldRate        float64       // HOLD_RELEASE_RATE, connects a second
	HoldDryRun      bool          // HOLD_DRY_RUN
	MaxHeld         int           // MAX_HELD
	MemoryLimit     int64         // MEMORY_LIMIT, bytes; 0: most of the container's, below 0: none

	InboundTimeout time.Duration // INBOUND_CONNECT_TIMEOUT: the client's CONNECT, whole
	AttemptTimeout time.Duration // ATTEMPT_TIMEOUT: one dial and its ACCEPT; 0: 3 s
	DialTimeout    time.Duration // OUTBOUND_CONNECT_TIMEOUT: all attempts together
	IdleTimeout    time.Duration // IDLE_TIMEOUT
	SessionTimeout time.Duration // SESSION_TIMEOUT
	DrainTimeout   time.Duration // DRAIN_TIMEOUT: open sessions, at shutdown

	Admission        registration.Admission        // who may register
	Registrants      []registration.RegistrantRule // REGISTRANT
	Answer           registration.AnswerMode       // REGISTRATION_ANSWER
	Upstream         string                        // REGISTRATION_UPSTREAM, host:port; empty: none
	MaxRegistrations int                           // MAX_REG_CONNECTIONS

	StaticServices  []StaticService // STATIC_SERVICE: what is there without registering
	NextHop         *NextHop        // NEXT_HOP: where all goes; nil: by service
	ServiceIsAlias  bool            // USE_SERVICE_AS_TNSNAMES_ALIAS
	Aliases         Aliases         // of the tnsnames.ora beside the file, if ServiceIsAlias
	SIDIsService    bool            // USE_SID_AS_SERVICE
	DefaultService  string          // DEFAULT_SERVICE: of connects that name none
	Views           []View          // VIEW: addresses as some clients see them
	Limits          Limits          // how much at most
	Tenants         []Tenant        // TENANT: who shares the broker; a service belongs to the first that it fits
	Gateways        Gateways        // what the file says of gateways, which this broker has none of
	TLS             TLSSettings     // of the TCPS addresses that have none of their own
	ACME            ACMESettings    // ACME_…
	DNS             DNSSettings     // DNS_…
	UpstreamTLS     UpstreamTLS     // UPSTREAM_TLS
	ProxyProtocol   ProxyProtocol   // PROXY_PROTOCOL
	ExpireTime      time.Duration   // EXPIRE_TIME: how often a silent peer is asked whether it is there; 0: as the system does
	SDU             int             // SDU, bytes; 0: as client and instance agree
	ShutdownGrace   time.Duration   // SHUTDOWN_GRACE
	RESTAddress     string          // REST_ADDRESS, host:port; empty: off
	RESTCredentials string          // REST_CREDENTIALS, a file
	MetricsAddress  string          // METRICS_ADDRESS, host:port; empty: on the console
	ReadyServices   []string        // READY_SERVICES: without one of them the broker is not ready
	LogDirectory    string          // LOG_DIRECTORY; empty: standard output alone
	LogLevel        string          // LOG_LEVEL: off, user, admin or support
	LogFileSize     int64           // LOG_FILE_SIZE, bytes; 0: no bound
	LogFileNum      int             // LOG_FILE_NUM: files of each log, the one that is written among them
	LogRepeats      time.Duration   // LOG_REPEATS: lines of listener.log that say the same within it are left out; 0: none is
	EventGroups     []string        // EVENT_GROUP: what <instance>.log has; nil: all
	TraceDirectory  string          // TRACE_DIRECTORY; empty: LogDirectory, else the state directory
	TraceFileSize   int64           // TRACE_FILELEN, bytes
	TraceFileNum    int             // TRACE_FILENO
	Verbose         bool            // all is logged, whatever LOG_LEVEL says
	Consul          ConsulSettings  // CONSUL_…: what is kept in Consul
	Peers           []string        // PEERS: API addresses of other brokers; none: those that Consul knows; "off": there are none
	PeerCredentials string          // PEER_CREDENTIALS, a file
	PeerCA          string          // PEER_CA, a file
	PeerAskTimeout  time.Duration   // PEER_ASK_TIMEOUT; 0: peers are not asked on behalf of connects

	ConsoleAddress string // CONSOLE_ADDRESS, host:port; empty: off
	Privileges     Privileges
	StateDirectory string // STATE_DIRECTORY; empty: StateDirectoryFor(Name)
	AdminSocket    string // ADMIN_SOCKET; empty: admin.sock in the state directory
	VSNNUM         uint32 // version that refusals and the version command claim, tns.md 3; 0 hides it

	ConfigWatch bool          // CONFIG_WATCH: read the files again when they change
	ConfigPoll  time.Duration // CONFIG_POLL: how often they are looked at besides; 0: never

	read contents // what was in Files
}

// Given is a parameter as a file sets it.
type Given struct {
	Value string // as written
	Where string // FILE:LINE

	column int // of its name in that line, from 1
}

// ServiceSetting is what is different for the services whose name fits Pattern.
type ServiceSetting struct {
	Pattern   string // * stands for any text
	Treatment relay.Treatment
	Tiers     *loadbalance.Tiers // nil: as registered
}

// DefaultName is the instance's name where no file gives one.
const DefaultName = "CMAN"

// defaultVSNNUM claims 19.0.0.0.0.
const defaultVSNNUM = 318767104

// DefaultConfig returns what a broker without a file runs by: TCP 1521,
// registrations from this host, clients from anywhere to registered services,
// console on 127.0.0.1:8521.
func DefaultConfig() *Config {
	return &Config{
		Name:      DefaultName,
		Addresses: []descriptor.Address{{Protocol: "tcp", Host: "0.0.0.0", Port: 1521}},
		Mode:      relay.ModeRelay,

		Policy: loadbalance.Adaptive, SlowStart: time.Minute, PreferLeastLoadedNode: true,
		PeerAskTimeout: defaultPeerAskTimeout, HedgeLearnt: true, ProbeInterval: 5 * time.Second, ProbeTimeout: 2 * time.Second, RedirectVerify: true,
		StaleTimeout: 90 * time.Second, TableMemory: 24 * time.Hour, MoveWindow: time.Minute,
		HoldTimeout: 30 * time.Second, HoldMemory: 5 * time.Minute, HoldShare: 0.5, HoldClientShare: 1, HoldRate: 500, MaxHeld: 10_000,

		InboundTimeout:   time.Minute,
		AttemptTimeout:   3 * time.Second,
		DialTimeout:      time.Minute,
		DrainTimeout:     5 * time.Minute,
		ShutdownGrace:    5 * time.Second,
		Limits:           Limits{AcceptQueueWait: 5 * time.Second, Guesses: 30},
		TLS:              TLSSettings{MinVersion: tls.VersionTLS12},
		UpstreamTLS:      UpstreamTLS{MinVersion: tls.VersionTLS12},
		ACME:             ACMESettings{Challenge: "tls-alpn", CheckInterval: 10 * time.Minute},
		DNS:              DNSSettings{TTL: 5 * time.Second, Rate: 1000},
		MaxRegistrations: 512,
		LogLevel:         defaultLogLevel,
		LogFileSize:      100 << 20,
		LogFileNum:       5,
		TraceFileSize:    10 << 20,
		TraceFileNum:     1,
		Consul:           ConsulSettings{Prefix: "broker/"},
		ConsoleAddress:   "127.0.0.1:8521",
		Privileges:       Privileges{NoNew: true},
		VSNNUM:           defaultVSNNUM,
		ConfigWatch:      true,
		ConfigPoll:       10 * time.Second,
	}
}

// StateDirectoryFor returns the default state directory of an instance:
// $STATE_DIRECTORY (systemd), else servicebroker/<instance> below
// $XDG_STATE_HOME or ~/.local/state.
func StateDirectoryFor(instance string) (string, error) {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		first, _, _ := strings.Cut(dir, ":") // systemd lists several with colons
		return first, nil
	}
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no place for state: %w: set STATE_DIRECTORY in cman.ora or in the environment", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "servicebroker", instance), nil
}

// stateDirectory is the configured one or the default.
func (c *Config) stateDirectory() (string, error) {
	if c.StateDirectory != "" {
		return c.StateDirectory, nil
	}
	return c.Privileges.stateFor(c.Name)
}

// SocketPath returns where the admin socket is.
func (c *Config) SocketPath() (string, error) {
	if c.AdminSocket != "" {
		return c.AdminSocket, nil
	}
	dir, err := c.stateDirectory()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "admin.sock"), nil
}
