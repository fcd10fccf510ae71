package broker

// replacedParameters are Oracle's that have no effect here, with what takes their place.
func replacedParameters() []Parameter {
	all := []Parameter{
		{Name: "ASO_AUTHENTICATION_FILTER", severity: SeverityWarning, Meaning: "it is not enforced: let clients in over TCPS alone, or have databases require encryption (SQLNET.ENCRYPTION_SERVER)"},
		{Name: "CONNECTION_STATISTICS", Meaning: "bytes are counted for every session; see broker sessions"},
		{Name: "COMPRESSION*", Meaning: "client and instance agree on compression, and the broker carries it"},
		{Name: "SERVICE_AFFINITY", Meaning: "there are no gateways; POLICY chooses the instance"},
		{Name: "ENABLE_IP_FORWARDING", severity: SeverityWarning, Meaning: "instances see the broker's address; broker sessions --upstream HOST:PORT tells who the client is, ROUTE=redirect lets instances see it"},
		{Name: "REMOTE_ADMIN", Meaning: "administration on the wire is for this host only; from elsewhere use REST_ADDRESS"},
		{Name: "PASSWORD*", Secret: true, Meaning: "no password is asked for: the admin socket is for the user that runs the broker"},
		{Name: "SAVE_PASSWD*", Meaning: "no password is asked for: the admin socket is for the user that runs the broker"},
		{Name: "ADMIN_RESTRICTIONS", Meaning: "settings are changed in the file alone, and broker reload reads it"},
		{Name: "USE_SNI", Meaning: "the server name that a client gives is always read"},

		{Name: "TDM", Meaning: "sessions are relayed one by one, not pooled; the database's own pooling (SERVER=POOLED) is passed on"},
		{Name: "TDM_*", Meaning: "it is about Traffic Director Mode; sessions are relayed one by one, not pooled"},

		{Name: "TUNNELING", severity: SeverityWarning, Meaning: "there are no tunnels: let the inner network's broker be reached through NEXT_HOP or SOURCE_ROUTE"},
		{Name: "TUNNEL_ADDRESS", severity: SeverityWarning, Meaning: "there are no tunnels: let the inner network's broker be reached through NEXT_HOP or SOURCE_ROUTE"},
		{Name: "TUNNEL_*", Meaning: "there are no tunnels: let the inner network's broker be reached through NEXT_HOP or SOURCE_ROUTE"},
		{Name: "MAX_TUNNELS", Meaning: "there are no tunnels: let the inner network's broker be reached through NEXT_HOP or SOURCE_ROUTE"},
		{Name: "GATEWAY_PROCESSES", Meaning: "there are no gateways; MAX_SESSIONS limits sessions"},
		{Name: "NON_TUNNEL_GATEWAYS", Meaning: "there are no gateways; MAX_SESSIONS limits sessions"},

		{Name: "LOG_*", Meaning: "the log goes to standard output, and to LOG_DIRECTORY if that is set"},
		{Name: "LOGGING", Meaning: "the log goes to standard output, and to LOG_DIRECTORY if that is set"},
		{Name: "TRACE_*", Meaning: "packets are traced on demand: broker trace begins and ends it"},
		{Name: "TRACING", Meaning: "packets are traced on demand: broker trace begins and ends it"},
		{Name: "DIAG_ADR_ENABLED", Meaning: "there is no ADR; the log goes to standard output, and to LOG_DIRECTORY if that is set"},
		{Name: "ADR_BASE*", Meaning: "there is no ADR; the log goes to standard output, and to LOG_DIRECTORY if that is set"},

		{Name: "SSL_*", Meaning: "see TLS_MIN_VERSION, TLS_CLIENT_CA and UPSTREAM_TLS"},
		{Name: "SQLNET.*", Meaning: "it is a client's or a database's, and belongs into sqlnet.ora there"},
		{Name: "NAMES.*", Meaning: "it is a client's, and belongs into sqlnet.ora there"},
		{Name: "TCP.VALIDNODE_CHECKING", severity: SeverityWarning, Meaning: "it is not enforced: write RULEs with these addresses as SRC"},
		{Name: "TCP.INVITED_NODES", severity: SeverityWarning, Meaning: "it is not enforced: write RULEs with these addresses as SRC and (ACT=accept)"},
		{Name: "TCP.EXCLUDED_NODES", severity: SeverityWarning, Meaning: "it is not enforced: write RULEs with these addresses as SRC and (ACT=reject)"},
		{Name: "TCP.*", Meaning: "the system's own network settings count"},
		{Name: "DISABLE_OOB", Meaning: "out-of-band breaks are kept off relayed sessions"},
		{Name: "SEND_BUF_SIZE", Meaning: "the system sizes its buffers by itself"},
		{Name: "RECV_BUF_SIZE", Meaning: "the system sizes its buffers by itself"},
		{Name: "QUEUESIZE", Meaning: "the system's own limit counts (net.core.somaxconn)"},

		{Name: "CRS_NOTIFICATION", Meaning: "the broker does not speak with clusterware; instances that are gone are noticed by themselves"},
		{Name: "SUBSCRIBE_FOR_NODE_DOWN_EVENT", Meaning: "the broker does not speak with clusterware; PROBE_INTERVAL finds nodes that are down"},
		{Name: "ENABLE_GLOBAL_DYNAMIC_ENDPOINT", Meaning: "addresses are those of the file"},
		{Name: "ENABLE_EXADIRECT", Meaning: "clients come over TCP or TCPS"},
		{Name: "LOCAL_REGISTRATION_ADDRESS", Meaning: "databases register at any ADDRESS"},
		{Name: "REMOTE_REGISTRATION_ADDRESS", Meaning: "databases register at any ADDRESS; REGISTRATION_INVITED_NODES says who"},
		{Name: "DEDICATED_THROUGH_BROKER", Meaning: "the broker starts no server processes"},
		{Name: "SECURE_CONTROL", Meaning: "administration on the wire is for this host only"},
		{Name: "SECURE_PROTOCOL", Meaning: "administration on the wire is for this host only; REGISTRATION_TRANSPORTS says how databases register"},
		{Name: "SAVE_CONFIG_ON_STOP", Meaning: "the file is never written"},
		{Name: "STARTUP_WAIT_TIME", Meaning: "the broker listens at once"},

		{Name: "ANSWER_TIMEOUT", Meaning: "INBOUND_CONNECT_TIMEOUT and OUTBOUND_CONNECT_TIMEOUT say how long to wait"},
		{Name: "AUTHENTICATION_LEVEL", Meaning: "let clients in over TCPS alone, or have databases require encryption"},
		{Name: "MAX_FREELIST_BUFFERS", Meaning: "memory is taken as it is needed"},
		{Name: "MAXIMUM_CONNECT_DATA", Meaning: "connect data may have 64 kB"},
		{Name: "MAXIMUM_RELAYS", Meaning: "MAX_SESSIONS limits sessions"},
		{Name: "RELAY_STATISTICS", Meaning: "bytes are counted for every session; see broker sessions"},
		{Name: "SHOW_TNS_INFO", Meaning: "broker explain tells why a connect went where it went"},
		{Name: "USE_ASYNC_CALL", Meaning: "the broker never waits for one client with another"},
	}
	for i := range all {
		if all[i].Kind == "" {
			all[i].Kind = KindReplaced
		}
	}
	return all
}
