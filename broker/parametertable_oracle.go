package broker

import (
	"errors"
	"strings"
	"time"

	"servicebroker/descriptor"
)

// routeParameters are about what a connect asks for and where it goes.
func routeParameters() []Parameter {
	return []Parameter{
		{Name: "DEFAULT_SERVICE", Kind: KindOracle, Live: true, Range: "service name", Meaning: "what a connect that names no service gets", Cost: "misspelt descriptors land there", set: text(func(c *Config) *string { return &c.DefaultService })},
		{Name: "NEXT_HOP", Kind: KindOracle, Live: true, Range: "DESCRIPTION", Meaning: "where everything goes that is let in, whatever it asks for", Cost: "registered services are not used", set: setNextHop},
		{Name: "ROUTE", Kind: KindOurs, Live: true, Default: "relay", Range: "relay, redirect", Meaning: "relay carries sessions, redirect sends clients to the instance's own address", Cost: "relay takes the broker's bandwidth; redirect needs clients that reach instances", set: setRoute},
		{Name: "SERVICE", Kind: KindOurs, Live: true, Repeatable: true, Range: "see above", Meaning: "what is different for some services: `(SERVICE=(NAME=sales*)(POLICY=…)(ROUTE=…)(HOLD_TIMEOUT=…)(ATTEMPT_TIMEOUT=…)(IDLE_TIMEOUT=…)(MAX_SESSIONS=…)(RATE=…)(BANDWIDTH=…)(TIERS=a,b;c))`", Cost: "the first that fits applies", set: addService},
		{Name: "STATIC_SERVICE", Kind: KindOurs, Live: true, Repeatable: true, Range: "see above", Meaning: "what is there without registering: `(STATIC_SERVICE=(NAME=sales)(INSTANCE=sales1)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))(TIER=1))`", Cost: "its load is not known, and whether it is up only from probes", set: addStaticService},
		{Name: "USE_SERVICE_AS_TNSNAMES_ALIAS", Kind: KindOracle, Live: true, Default: "off", Range: "on, off", Meaning: "look the service up as an alias in the tnsnames.ora beside this file", Cost: "aliases go before registered services", set: onOff(func(c *Config) *bool { return &c.ServiceIsAlias })},
		{Name: "USE_SID_AS_SERVICE", Kind: KindOracle, Live: true, Default: "off", Range: "on, off", Meaning: "a SID that is no instance's is taken for a service name", Cost: "instances and services of one name are not told apart", set: onOff(func(c *Config) *bool { return &c.SIDIsService })},
		{Name: "VIEW", Kind: KindOurs, Live: true, Repeatable: true, Range: "see above", Meaning: "addresses as clients from some networks reach them: `(VIEW=(CLIENTS=192.0.2.0/24)(MAP=(FROM=10.1.0.5)(TO=198.51.100.5)))`", Cost: "of no use where all are relayed", set: addView},
	}
}

// limitParameters are about how much is let in, and for how long.
func limitParameters() []Parameter {
	return []Parameter{
		{Name: "ACCEPT_QUEUE_WAIT", Kind: KindOurs, Live: true, Default: "5", Unit: "s", Range: "0 not at all", Meaning: "how long a connect over a rate waits for its turn before it is refused", Cost: "longer holds more connections open in a storm", set: duration(func(c *Config) *time.Duration { return &c.Limits.AcceptQueueWait })},
		{Name: "BANDWIDTH", Kind: KindOurs, Live: true, Default: "off", Unit: "bytes/s", Range: "number, k, M, G, off", Meaning: "what all relayed sessions together move, each way", Cost: "sessions slow down", set: size(func(c *Config) *int64 { return &c.Limits.Bandwidth })},
		{Name: "CLIENT_RATE", Kind: KindOurs, Live: true, Default: "off", Unit: "connects/s", Range: "number, /s, /min, /h, off", Meaning: "connects from one client address", Cost: "pools behind one address are one client", set: rate(func(c *Config) *float64 { return &c.Limits.ClientRate })},
		{Name: "CONNECTION_RATE", Kind: KindOracle, Live: true, Default: "off", Unit: "connects/s", Range: "number, off", Meaning: "connects over all addresses that say RATE_LIMIT=yes", Cost: "one client can use it up for all; see CLIENT_RATE", set: rate(func(c *Config) *float64 { return &c.Limits.ConnectionRate })},
		{Name: "EXPIRE_TIME", Kind: KindOracle, Live: true, Default: "0", Unit: "min", Range: "0 as the system does", Meaning: "after how long a silent client or instance is asked whether it is still there; for connections from then on", Cost: "shorter ends sessions over short network failures", set: minutes(func(c *Config) *time.Duration { return &c.ExpireTime })},
		{Name: "GUESS_LIMIT", Kind: KindOurs, Live: true, Default: "30", Unit: "names", Range: "0 any number", Meaning: "different names of services, SIDs and instances that nobody has for which one client address may ask, each within 5 minutes after the one before; beyond it is answered as if nobody had any, but for what it was served before and what registers later, until it has asked for no such name for 5 minutes", Cost: "a new service is not found by clients that guess, or share their address with one that does", set: number(0, 1_000_000, func(c *Config) *int { return &c.Limits.Guesses })},
		{Name: "IDLE_TIMEOUT", Kind: KindOracle, Live: true, Default: "0", Unit: "s", Range: "0 never", Meaning: "ends a relayed session that moves no byte for so long", Cost: "pools find their connections dead", set: duration(func(c *Config) *time.Duration { return &c.IdleTimeout })},
		{Name: "INBOUND_CONNECT_TIMEOUT", Kind: KindOracle, Default: "60", Unit: "s", Range: "0 waits for ever", Meaning: "time for a client's whole CONNECT", Cost: "longer lets silent clients keep a connection each", set: duration(func(c *Config) *time.Duration { return &c.InboundTimeout })},
		{Name: "IP_RATE_BLOCK", Kind: KindOracle, Live: true, Default: "0", Unit: "min", Range: "time", Meaning: "how long an address is refused that was over IP_RATE_COUNT", Cost: "everyone behind that address is refused", set: minutes(func(c *Config) *time.Duration { return &c.Limits.IPRateBlock })},
		{Name: "IP_RATE_COUNT", Kind: KindOracle, Live: true, Default: "0", Unit: "connects", Range: "0 off", Meaning: "connects from one address within IP_RATE_INTERVAL", Cost: "pools behind one address are one client", set: number(0, 1_000_000_000, func(c *Config) *int { return &c.Limits.IPRateCount })},
		{Name: "IP_RATE_INTERVAL", Kind: KindOracle, Live: true, Default: "0", Unit: "s", Range: "time", Meaning: "over how long IP_RATE_COUNT counts", Cost: "longer forgets bursts later", set: duration(func(c *Config) *time.Duration { return &c.Limits.IPRateInterval })},
		{Name: "MAX_ALL_CONNECTIONS", Kind: KindOracle, Live: true, Default: "0", Unit: "connections", Range: "0 without limit", Meaning: "connections at a time, besides those of databases, which MAX_REG_CONNECTIONS limits", Cost: "one more is refused, unless one that has said nothing can go", set: number(0, 10_000_000, func(c *Config) *int { return &c.Limits.MaxConnections })},
		{Name: "MAX_SESSIONS", Kind: KindOurs, Live: true, Default: "0", Unit: "sessions", Range: "0 without limit", Meaning: "relayed sessions at a time", Cost: "one more is refused; each takes two descriptors", set: number(0, 10_000_000, func(c *Config) *int { return &c.Limits.MaxSessions })},
		{Name: "OUTBOUND_CONNECT_TIMEOUT", Kind: KindOracle, Live: true, Default: "60", Unit: "s", Range: "0 as long as each of them may take", Meaning: "all attempts of one connect together", Cost: "longer than clients wait is of no use", set: duration(func(c *Config) *time.Duration { return &c.DialTimeout })},
		{Name: "SDU", Kind: KindOracle, Live: true, Default: "as client and instance agree", Unit: "bytes", Range: "512–2097152", Meaning: "largest session data unit that instances are asked for", Cost: "smaller moves bulk data slower", set: number(512, 2<<20, func(c *Config) *int { return &c.SDU })},
		{Name: "SERVICE_RATE", Kind: KindOracle, Live: true, Default: "off", Unit: "connects/s", Range: "number, /s, /min, /h, off", Meaning: "connects for one service", Cost: "one client can use it up for all; see CLIENT_RATE", set: rate(func(c *Config) *float64 { return &c.Limits.ServiceRate })},
		{Name: "TENANT", Kind: KindOurs, Live: true, Repeatable: true, Range: "see above", Meaning: "what some services may take of the broker together: `(TENANT=(NAME=payroll)(SERVICES=pay*,hr*)(MAX_SESSIONS=…)(RATE=…)(BANDWIDTH=…)(MAX_HELD=…))`", Cost: "a service belongs to the first that it fits", set: addTenant},
		{Name: "SESSION_TIMEOUT", Kind: KindOracle, Live: true, Default: "0", Unit: "s", Range: "0 never", Meaning: "ends a relayed session so long after it began", Cost: "work in progress is lost", set: duration(func(c *Config) *time.Duration { return &c.SessionTimeout })},
	}
}

// tlsParameters are about TCPS.
func tlsParameters() []Parameter {
	return []Parameter{
		{Name: "ACME_CHALLENGE", Kind: KindOurs, Live: true, Default: "tls-alpn", Range: "tls-alpn, dns-01", Meaning: "how names are proved", Cost: "tls-alpn needs port 443 from the outside", set: words(func(c *Config) *string { return &c.ACME.Challenge }, map[string]string{"tls-alpn": "tls-alpn", "tls-alpn-01": "tls-alpn", "dns": "dns-01", "dns-01": "dns-01"}, "tls-alpn", "dns-01")},
		{Name: "ACME_CHECK_INTERVAL", Kind: KindOurs, Live: true, Default: "10min", Unit: "s", Range: "time", Meaning: "how often it is looked whether a certificate has to be renewed, which is when a third of its time is left", Cost: "longer than a third of a certificate's time lets it expire", set: duration(func(c *Config) *time.Duration { return &c.ACME.CheckInterval })},
		{Name: "ACME_DIRECTORY", Kind: KindOurs, Live: true, Range: "URL", Meaning: "who issues certificates", Cost: "issuers limit how many", set: setACMEDirectory},
		{Name: "ACME_EMAIL", Kind: KindOurs, Live: true, Range: "address", Meaning: "whom the issuer writes to", set: text(func(c *Config) *string { return &c.ACME.Email })},
		{Name: "ACME_NAMES", Kind: KindOurs, Live: true, Range: "host names", Meaning: "names that certificates are issued for", Cost: "each has to lead here", set: list(func(c *Config) *[]string { return &c.ACME.Names })},
		{Name: "ACME_ROOTS", Kind: KindOurs, Live: true, Default: "the system's", Range: "file, PEM", Meaning: "authorities by whom ACME_DIRECTORY is trusted", Cost: "others are not believed", set: text(func(c *Config) *string { return &c.ACME.Roots })},
		{Name: "ACME_SHARED_KEY", Kind: KindOurs, Live: true, Range: "file", Meaning: "brokers that clients know by one name share account, keys and certificates through Consul, sealed with the secret in this file, alike at all of them", Cost: "whoever has it and can read Consul has the keys", set: text(func(c *Config) *string { return &c.ACME.SharedKey })},
		{Name: "PROXY_PROTOCOL", Kind: KindOurs, Live: true, Repeatable: true, Default: "off", Range: "see above", Meaning: "who tells the broker of the real client and whom it tells: `(PROXY_PROTOCOL=(IN=10.0.0.0/8)(OUT=(DST=db1)(VERSION=v2)))`", Cost: "whoever is in IN can pretend to be any client; instances that are sent a header have to understand it", set: setProxyProtocol},
		{Name: "SSL_CLIENT_AUTHENTICATION", Kind: KindOracle, Live: true, Default: "on with TLS_CLIENT_CA", Range: "on, optional, off", Meaning: "clients have to have a certificate that TLS_CLIENT_CA or the wallet trusts", Cost: "others are refused", set: words(func(c *Config) *string { return &c.TLS.ClientAuth }, clientAuthWords, "on", "optional", "off")},
		{Name: "SSL_CIPHER_SUITES", Kind: KindOracle, Live: true, Default: "those thought safe", Range: "names", Meaning: "cipher suites of TLS 1.2, with or without the prefix SSL_", Cost: "old ones let recorded sessions be read once the key is known", set: list(func(c *Config) *[]string { return &c.TLS.CipherSuites })},
		{Name: "SSL_VERSION", Kind: KindMapped, Live: true, Range: "1.2, 1.3", Meaning: "the lowest of the versions it names, from 1.2 on, is TLS_MIN_VERSION", Cost: "older clients are refused", set: setOracleTLSVersion},
		{Name: "TLS_CERTIFICATE", Kind: KindOurs, Live: true, Range: "file, PEM", Meaning: "the broker's certificate with its chain, for TCPS; also within an ADDRESS, as all TLS_ parameters", Cost: "clients have to trust its issuer", set: text(func(c *Config) *string { return &c.TLS.Certificate })},
		{Name: "TLS_CLIENT_CA", Kind: KindOurs, Live: true, Range: "file, PEM", Meaning: "clients have to have a certificate of one of these issuers", Cost: "others are refused", set: text(func(c *Config) *string { return &c.TLS.ClientCA })},
		{Name: "TLS_KEY", Kind: KindOurs, Live: true, Range: "file, PEM", Meaning: "key of TLS_CERTIFICATE", set: text(func(c *Config) *string { return &c.TLS.Key })},
		{Name: "TLS_MIN_VERSION", Kind: KindOurs, Live: true, Default: "1.2", Range: "1.2, 1.3", Meaning: "lowest TLS version", Cost: "1.3 refuses older clients", set: tlsVersion(func(c *Config) *uint16 { return &c.TLS.MinVersion })},
		{Name: "TLS_VERSION", Kind: KindMapped, Live: true, Range: "1.2, 1.3", Meaning: "the lowest of the versions it names, from 1.2 on, is TLS_MIN_VERSION", Cost: "older clients are refused", set: setOracleTLSVersion},
		{Name: "TLS_WALLET", Kind: KindOurs, Live: true, Range: "file, folder", Meaning: "wallet in place of TLS_CERTIFICATE, TLS_KEY and TLS_CLIENT_CA", set: text(func(c *Config) *string { return &c.TLS.Wallet })},
		{Name: "TLS_WALLET_PASSWORD_FILE", Kind: KindOurs, Live: true, Range: "file", Meaning: "password of the wallet, alone in a file", Cost: "who reads it has the key", set: text(func(c *Config) *string { return &c.TLS.WalletPasswordFile })},
		{Name: "UPSTREAM_TLS", Kind: KindOurs, Live: true, Range: "see above", Meaning: "how instances are spoken to over TCPS: `(UPSTREAM_TLS=(CA=file)(CERTIFICATE=file)(KEY=file)(DN_MATCH=on))`", Cost: "DN_MATCH=off believes anyone with a certificate", set: setUpstreamTLS},
		{Name: "WALLET_LOCATION", Kind: KindMapped, Live: true, Range: "SOURCE, folder", Meaning: "its folder is TLS_WALLET", set: setWalletLocation},
	}
}

var clientAuthWords = map[string]string{
	"on": "required", "true": "required", "yes": "required", "1": "required", "required": "required", "optional": "optional",
	"off": "none", "false": "none", "no": "none", "0": "none", "none": "none",
}

// addressParameters are about where the broker is found.
func addressParameters() []Parameter {
	return []Parameter{
		{Name: "ADDRESS", Kind: KindOracle, Repeatable: true, Range: "PROTOCOL, HOST, PORT", Meaning: "where it listens, directly in CONFIGURATION or in an ADDRESS_LIST; at least one", Cost: "clients have to know it"},
		{Name: "METRICS_ADDRESS", Kind: KindOurs, Default: "the console's", Range: "host:port, off", Meaning: "/metrics here instead of on the console; /livez and /readyz on both", Cost: "who reaches it can read them", set: hostPort("0.0.0.0:9521", func(c *Config) *string { return &c.MetricsAddress })},
		{Name: "REST_ADDRESS", Kind: KindOracle, Range: "host, host:port, off", Meaning: "API and page over HTTPS with credentials; port 1525 unless another is given", Cost: "needs a certificate (TLS_CERTIFICATE, TLS_WALLET) and REST_CREDENTIALS", set: setRESTAddress},
		{Name: "REST_CREDENTIALS", Kind: KindOurs, Range: "file", Meaning: "who may use the API at REST_ADDRESS, see broker credentials; what is in it is read again as soon as it changes", Cost: "who can write it can do everything", set: text(func(c *Config) *string { return &c.RESTCredentials })},
	}
}

// oracleParameters are Oracle's that become something else.
func oracleParameters() []Parameter {
	return []Parameter{
		{Name: "DYNAMIC_REGISTRATION", Kind: KindMapped, Live: true, Default: "on", Range: "on, off", Meaning: "off is REGISTRATION_EXCLUDED_NODES=* without invited nodes: nobody registers", Cost: "only static services are there", set: setDynamicRegistration},
		{Name: "MAX_CONNECTIONS", Kind: KindMapped, Live: true, Default: "256", Unit: "connections", Range: "1–1024 a gateway", Meaning: "there are no gateways: times MAX_GATEWAY_PROCESSES it is MAX_SESSIONS", Cost: "one more is refused", set: number(1, 1_000_000, func(c *Config) *int { return &c.Gateways.Connections })},
		{Name: "MAX_GATEWAY_PROCESSES", Kind: KindMapped, Live: true, Default: "16", Unit: "gateways", Range: "1–64", Meaning: "there are no gateways: times MAX_CONNECTIONS it is MAX_SESSIONS", Cost: "one more session is refused", set: number(1, 1024, func(c *Config) *int { return &c.Gateways.Max })},
		{Name: "MIN_GATEWAY_PROCESSES", Kind: KindReplaced, Default: "2", Unit: "gateways", Range: "1–64", Meaning: "one process serves all sessions, and none has to be started in advance", set: number(0, 1024, func(c *Config) *int { return &c.Gateways.Min })},
		{Name: "MAX_CMCTL_SESSIONS", Kind: KindReplaced, Default: "4", Unit: "sessions", Range: "1 and more", Meaning: "administration goes over ADMIN_SOCKET, which does not count sessions", set: number(0, 1_000_000, func(c *Config) *int { return &c.Gateways.CMCTL })},
		{Name: "SECURE_REGISTER", Kind: KindMapped, Live: true, Range: "TCPS, IPC", Meaning: "its transports are REGISTRATION_TRANSPORTS", Cost: "databases that register otherwise are refused", set: setTransports},
	}
}

func setTransports(c *Config, n *descriptor.Node) error {
	c.Admission.Transports = nil
	for _, word := range listOf(n) {
		switch t := strings.ToUpper(word); t {
		case "TCP", "TCPS", "IPC":
			c.Admission.Transports = append(c.Admission.Transports, t)
		default:
			return unknownWord(word, "TCP", "TCPS")
		}
	}
	if c.Admission.Transports == nil {
		return errNoValue
	}
	return nil
}

func setDynamicRegistration(c *Config, n *descriptor.Node) error {
	on, known := descriptor.Truth(n.Value)
	switch {
	case !known:
		return unknownWord(n.Value, "on", "off")
	case !on:
		c.Admission.Excluded, c.Admission.Invited = []string{"*"}, nil
	}
	return nil
}

func setRESTAddress(c *Config, n *descriptor.Node) error {
	value := n.Value
	if value != "" && !strings.EqualFold(value, "off") && checkHostPort(value) != nil && checkHostPort(value+":1525") == nil {
		value += ":1525"
	}
	return hostPort("broker1.example.com:1525", func(c *Config) *string { return &c.RESTAddress })(c, &descriptor.Node{Name: n.Name, Value: value})
}

func setACMEDirectory(c *Config, n *descriptor.Node) error {
	if !strings.HasPrefix(n.Value, "https://") {
		return errors.New("it is no https:// address: write the issuer's directory, such as https://acme.example.com/directory")
	}
	c.ACME.Directory = n.Value
	return nil
}
