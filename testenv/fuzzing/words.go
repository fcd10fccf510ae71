package fuzzing

// Keys are names of the parenthesised text that somebody looks at: descriptors, refusals, configuration.
func Keys() []string {
	return []string{
		"DESCRIPTION", "ADDRESS", "CONNECT_DATA", "SERVICE_NAME", "SID", "HOST", "PORT", "PROTOCOL", "COMMAND", "CID", "PROGRAM", "USER",
		"DESCRIPTION_LIST", "ADDRESS_LIST", "SOURCE_ROUTE", "LOAD_BALANCE", "FAILOVER", "FAILOVER_MODE", "INSTANCE_NAME", "SERVER", "UR",
		"COLOCATION_TAG", "CONNECTION_ID", "CONNECTION_ID_PREFIX", "CONNECT_TIMEOUT", "TRANSPORT_CONNECT_TIMEOUT", "RETRY_COUNT", "RETRY_DELAY",
		"SDU", "TDU", "HOP_COUNT", "NUM_HOPS", "KEY", "SECURITY", "SSL_SERVER_CERT_DN", "WALLET", "PASSWORD", "VALUE", "ARGUMENTS", "VERSION",
		"ERR", "ERROR", "ERROR_STACK", "CODE", "EMFI", "TMP", "VSNNUM", "ARGS", "USE_SNI", "POOL_CONNECTION_CLASS", "POOL_PURITY", "HTTPS_PROXY",
		"CONFIGURATION", "RULE_LIST", "RULE", "SRC", "DST", "SRV", "ACT", "ACTION_LIST", "AUT", "MCT", "MIT", "MOCT", "DN", "PARAMETER_LIST", "ROUTE",
		"NEXT_HOP", "REGISTRANT", "REGISTRATION_INVITED_NODES", "RULE_GROUP", "GROUP", "IFILE", "WEIGHT", "TIER", "ZONE", "HOLD_TIMEOUT", "RATE_LIMIT",
		"CMAN", "LISTENER", "SID_LIST_LISTENER", "SID_DESC", "ORACLE_HOME", "GLOBAL_DBNAME", "TNS_ENTRY", "",
	}
}

// Values are values with a meaning somewhere, and some that are at a limit.
func Values() []string {
	return []string{
		"sales", "orcl", "db1", "10.0.0.1", "1521", "tcp", "tcps", "yes", "no", "on", "off", "dedicated", "shared", "pooled", "accept", "reject", "drop",
		"relay", "redirect", "*", "sales*", "127.0.0.1", "localhost", "::1", "[::1]", "0.0.0.0", "10.0.0.0/8", "fe80::1%eth0", "broker", "0", "1", "-1", "60",
		"10ms", "2min", "1h", "65535", "65536", "4294967295", "4294967296", "18446744073709551616", "1153", "12514", "1e9", "0x7f", "ipc", "beq", "A", "",
		"service_register_NSGR", "status", "ping", "version", "stop", "reload", "services", "CN=app,O=x", "secret", "'quoted'", "\"double\"", "a b", "\\", "é", "\x00", "\xff",
	}
}

// Oddities are what breaks readers that are not careful.
func Oddities() []string {
	return []string{
		"(", ")", "=", "((", "))", "()", "(=)", "'", "\"", "\\", "#", ",", "\n", "\r\n", " ", "\t", "\x00", "\u2028", "\u0085", "\x1b[2J", "\xff\xfe", "\ufeff", "%s", "%00", "@", "//", "..",
		"<!--", "\\(", "\\)", ";", "?", "&", "*", "{", "}", "[", "]", ":", "/",
	}
}

// Numbers are what lengths and counts go wrong at.
func Numbers() []uint32 {
	return []uint32{
		0, 1, 2, 7, 8, 9, 10, 12, 24, 58, 63, 64, 70, 74, 127, 128, 230, 231, 252, 253, 254, 255, 256, 300, 313, 314, 315, 318, 319, 320, 512, 1024, 2048, 4096,
		8184, 8192, 16384, 32767, 32768, 65527, 65528, 65535, 65536, 1 << 20, 1<<21 - 1, 1 << 21, 1<<21 + 8, 1 << 24, 1<<31 - 1, 1 << 31, 1<<32 - 8, 1<<32 - 1,
	}
}
