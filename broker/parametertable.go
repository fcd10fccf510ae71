package broker

import (
	"strconv"
	"time"

	"servicebroker/descriptor"
	"servicebroker/registration"
)

// connectParameters are ours about how an instance is chosen, reached and waited for, and
// about the broker itself.
func connectParameters() []Parameter {
	return []Parameter{
		{Name: "ADMIN_SOCKET", Kind: KindOurs, Default: "<state>/admin.sock", Range: "path", Meaning: "where the admin socket is", Cost: "command-line tools have to be told with --api", set: text(func(c *Config) *string { return &c.AdminSocket })},
		{Name: "ATTEMPT_TIMEOUT", Kind: KindOurs, Live: true, Default: "3", Unit: "s", Range: "0 is 3 s", Meaning: "one dial of an instance and its ACCEPT", Cost: "longer waits for slow hosts, shorter passes over silent ones sooner", set: duration(func(c *Config) *time.Duration { return &c.AttemptTimeout })},
		{Name: "BROKERS", Kind: KindOurs, Live: true, Default: "those that are alive", Unit: "brokers", Range: "1–1000", Meaning: "brokers that share the load, for POLICY=adaptive where clients are redirected", Cost: "too many or too few by a factor of two costs little; 1 where three redirect costs half as much again at a load of 95 %", set: number(1, 1000, func(c *Config) *int { return &c.Brokers })},
		{Name: "CONFIG_POLL", Kind: KindOurs, Live: true, Default: "10", Unit: "s", Range: "0 never", Meaning: "how often the files of the configuration are compared with what was read, besides what the system tells of changes", Cost: "never: changes on network volumes are not noticed; each look reads the files", set: duration(func(c *Config) *time.Duration { return &c.ConfigPoll })},
		{Name: "CONFIG_WATCH", Kind: KindOurs, Live: true, Default: "on", Range: "on, off", Meaning: "on: when a file of the configuration changes it is read and put in force, if it is good; off: only when an operator says so", Cost: "on: what is saved counts at once, finished or not", set: onOff(func(c *Config) *bool { return &c.ConfigWatch })},
		{Name: "CONSOLE_ADDRESS", Kind: KindOurs, Default: "127.0.0.1:8521", Range: "host:port, off", Meaning: "page and API, read-only", Cost: "beyond loopback everyone who reaches it can read services and sessions", set: setConsoleAddress},
		{Name: "DRAIN_TIMEOUT", Kind: KindOurs, Default: "300", Unit: "s", Range: "0 without limit", Meaning: "how long open sessions may go on after the broker was told to stop", Cost: "shorter cuts sessions, longer delays the stop", set: duration(func(c *Config) *time.Duration { return &c.DrainTimeout })},
		{Name: "HEDGE", Kind: KindOurs, Default: "learnt", Unit: "s", Range: "learnt, time; 0 off", Meaning: "start the next instance if the one tried is silent for so long; learnt from how long instances take, at most 500ms", Cost: "off: a silent instance costs ATTEMPT_TIMEOUT", set: setHedge},
		{Name: "HOLD_CLIENT_SHARE", Kind: KindOurs, Live: true, Default: "1", Range: "above 0, to 1", Meaning: "part of MAX_HELD that one client address may take, whatever services it asks for; of IPv6, a /64", Cost: "lower keeps places from clients behind one address, such as an application server's pool, higher from all others", set: setHoldClientShare},
		{Name: "HOLD_DRY_RUN", Kind: KindOurs, Live: true, Default: "off", Range: "on, off", Meaning: "on: hold nobody, count who would have been", Cost: "on: connects fail that could have waited", set: onOff(func(c *Config) *bool { return &c.HoldDryRun })},
		{Name: "HOLD_MEMORY", Kind: KindOurs, Live: true, Default: "300", Unit: "s", Range: "0 holds only what operators hold", Meaning: "hold connects for a service that was available so lately", Cost: "longer makes clients wait for what is gone for good", set: duration(func(c *Config) *time.Duration { return &c.HoldMemory })},
		{Name: "HOLD_RELEASE_RATE", Kind: KindOurs, Live: true, Default: "500", Unit: "connects/s", Range: "above 0", Meaning: "held connects let go each second when their service is back", Cost: "higher empties the line sooner, lower spares an instance that has just come up", set: setHoldRate},
		{Name: "HOLD_SHARE", Kind: KindOurs, Live: true, Default: "0.5", Range: "above 0, to 1", Meaning: "part of MAX_HELD that one service may take, and all routes of clients' own together", Cost: "higher lets one service take the places of others", set: setHoldShare},
		{Name: "HOLD_TIMEOUT", Kind: KindOurs, Live: true, Default: "30", Unit: "s", Range: "0 off", Meaning: "how long a connect waits for a service that is away for a moment", Cost: "off: it is refused at once; longer than clients wait is of no use", set: duration(func(c *Config) *time.Duration { return &c.HoldTimeout })},
		{Name: "MAX_HELD", Kind: KindOurs, Live: true, Default: "10000", Unit: "connects", Range: "1–1000000", Meaning: "connects that may be held at once", Cost: "each costs some 8 kB and its connection", set: number(1, 1_000_000, func(c *Config) *int { return &c.MaxHeld })},
		{Name: "MEMORY_LIMIT", Kind: KindOurs, Default: "90 % of the container's, or all but 16 MB", Unit: "bytes", Range: "number, k, M, G, off", Meaning: "memory that the broker keeps to, but no more than its container leaves; where it runs short, new clients are refused before databases and operators are. GOMEMLIMIT in the environment goes before it", Cost: "too low a limit costs processor time and clients, too high a one lets the system end the broker", set: setMemoryLimit},
		{Name: "MOVE_WINDOW", Kind: KindOurs, Default: "60", Unit: "s", Range: "0 off", Meaning: "a service that leaves one instance and appears on another within this is one move", Cost: "shorter tells slow moves as two events", set: duration(func(c *Config) *time.Duration { return &c.MoveWindow })},
		{Name: "PEERS", Kind: KindOurs, Live: true, Default: "those that Consul knows", Range: "URLs, off", Meaning: "API addresses of the other brokers with which the same databases register; the list may have this broker's own, so that all can have the same", Cost: "each is looked at all the time; without it a service whose registration is lost here alone is refused", set: setPeers},
		{Name: "PEER_ASK_TIMEOUT", Kind: KindOurs, Live: true, Default: "300ms", Unit: "s", Range: "0 off, to 10s", Meaning: "how long a connect that would be refused, since nobody here offers its service, waits for what peers have", Cost: "off: what is lost here is refused though a peer has it; longer delays refusals while a peer is silent", set: setPeerAskTimeout},
		{Name: "PEER_CA", Kind: KindOurs, Live: true, Default: "the system's", Range: "path", Meaning: "PEM file of the authorities who sign the certificates of the peers' APIs", Cost: "whoever it signs can pretend to be a peer", set: text(func(c *Config) *string { return &c.PeerCA })},
		{Name: "PEER_CREDENTIALS", Kind: KindOurs, Live: true, Range: "path", Meaning: "file with NAME:PASSWORD, or a token, by which peers let this broker look: a viewer in their REST_CREDENTIALS. Others than the broker's user and group may not read it; it is read again as soon as it changes, as PEER_CA is", Cost: "sent over https alone", set: text(func(c *Config) *string { return &c.PeerCredentials })},
		{Name: "POLICY", Kind: KindOurs, Live: true, Default: "adaptive", Range: "adaptive, goodness, sessions, roundrobin, random", Meaning: "how to choose among instances; goodness is what an Oracle listener does", Cost: "all but adaptive use less of what is known", set: setPolicy},
		{Name: "PREFER_LEAST_LOADED_NODE", Kind: KindOracle, Live: true, Default: "on", Range: "on, off", Meaning: "off: POLICY=goodness disregards the load of machines", Cost: "off fills machines that other programs load", set: onOff(func(c *Config) *bool { return &c.PreferLeastLoadedNode })},
		{Name: "PROBE_INTERVAL", Kind: KindOurs, Default: "5", Unit: "s", Range: "0 off", Meaning: "how often every handler is asked whether it answers", Cost: "off: a hung host is found by the client that hedges past it; shorter asks more", set: duration(func(c *Config) *time.Duration { return &c.ProbeInterval })},
		{Name: "PROBE_TIMEOUT", Kind: KindOurs, Default: "2", Unit: "s", Range: "time", Meaning: "how long a probe waits", Cost: "shorter ejects slow hosts", set: duration(func(c *Config) *time.Duration { return &c.ProbeTimeout })},
		{Name: "READY_SERVICES", Kind: KindOurs, Live: true, Range: "service names", Meaning: "services without which /readyz says no", Cost: "a database that is away takes the broker out of a load balancer", set: list(func(c *Config) *[]string { return &c.ReadyServices })},
		{Name: "REDIRECT_VERIFY", Kind: KindOurs, Live: true, Default: "on", Range: "on, off", Meaning: "probe a handler not seen alive within PROBE_INTERVAL before a client is sent there", Cost: "off saves that time and may send clients to the dead", set: onOff(func(c *Config) *bool { return &c.RedirectVerify })},
		{Name: "SHUTDOWN_GRACE", Kind: KindOurs, Live: true, Default: "5", Unit: "s", Range: "0 none", Meaning: "how long the broker says it is not ready, and still serves who comes, before it stops listening", Cost: "shorter than a load balancer looks refuses connects, longer delays the stop", set: duration(func(c *Config) *time.Duration { return &c.ShutdownGrace })},
		{Name: "SLOW_START", Kind: KindOurs, Live: true, Default: "60", Unit: "s", Range: "0 off", Meaning: "how long a new or recovered instance takes to its full share", Cost: "off sends a fresh instance its whole share at once", set: setSlowStart},
		{Name: "STALE_TIMEOUT", Kind: KindOurs, Default: "90", Unit: "s", Range: "time", Meaning: "how long an instance whose registration is gone is still used while it answers", Cost: "shorter loses services while their registration link is cut", set: duration(func(c *Config) *time.Duration { return &c.StaleTimeout })},
		{Name: "STATE_DIRECTORY", Kind: KindOurs, Default: "$STATE_DIRECTORY, else $XDG_STATE_HOME/servicebroker/<instance>", Range: "path", Meaning: "folder for state and admin socket", Cost: "one folder an instance", set: text(func(c *Config) *string { return &c.StateDirectory })},
		{Name: "TABLE_MEMORY", Kind: KindOurs, Default: "86400", Unit: "s", Range: "0 keeps no table on disk", Meaning: "from the start on, use instances that the table on disk has and that were heard of so lately, as STALE", Cost: "a write to the state folder within half a second of a change; longer asks after more that is gone", set: duration(func(c *Config) *time.Duration { return &c.TableMemory })},
		{Name: "VSNNUM", Kind: KindOurs, Default: strconv.Itoa(defaultVSNNUM), Range: "0 hides it", Meaning: "version number that refusals and the version command claim", Cost: "some clients behave by it", set: setVSNNUM},
		{Name: "ZONE", Kind: KindOurs, Live: true, Range: "name", Meaning: "where this broker stands: instances of the same zone are used first", Cost: "other zones get connects only when this one has no instance left", set: text(func(c *Config) *string { return &c.Zone })},
	}
}

// registrationParameters are about databases that register.
func registrationParameters() []Parameter {
	return []Parameter{
		{Name: "MAX_REG_CONNECTIONS", Kind: KindOracle, Default: "512", Unit: "registrations", Range: "1 and more", Meaning: "registrations at a time", Cost: "one more than this is refused, and its database's services are missing here", set: number(1, 1_000_000, func(c *Config) *int { return &c.MaxRegistrations })},
		{Name: "REGISTRANT", Kind: KindOurs, Live: true, Repeatable: true, Range: "see above", Meaning: "who may offer what: `(REGISTRANT=(NAME=prod)(SRC=10.1.0.0/16)(SERVICES=sales*)(HANDLERS=10.1.0.0/16)(TIER=1)(ZONE=a))`", Cost: "a service that a rule claims and another offers is quarantined", set: addRegistrant},
		{Name: "REGISTRATION_ANSWER", Kind: KindOurs, Default: "none", Range: "none, ids, mirror", Meaning: "what a database's registration is answered with", Cost: "what databases make of each is for you to see", set: words(func(c *Config) *registration.AnswerMode { return &c.Answer },
			map[string]registration.AnswerMode{"none": registration.AnswerNone, "ids": registration.AnswerIDs, "mirror": registration.AnswerMirror}, "none", "ids", "mirror")},
		{Name: "REGISTRATION_EXCLUDED_NODES", Kind: KindOracle, Live: true, Range: "hosts, addresses, networks", Meaning: "who may not register; invited ones win", Cost: "their services are missing here", set: nodes(func(c *Config) *[]string { return &c.Admission.Excluded })},
		{Name: "REGISTRATION_INVITED_NODES", Kind: KindOracle, Live: true, Range: "hosts, addresses, networks, 10.1.*, *", Meaning: "who may register, besides this host", Cost: "whoever is invited can offer any service, see REGISTRANT; * invites everyone", set: nodes(func(c *Config) *[]string { return &c.Admission.Invited })},
		{Name: "REGISTRATION_TRANSPORTS", Kind: KindOurs, Live: true, Default: "TCP,TCPS", Range: "TCP, TCPS", Meaning: "over what databases may register", Cost: "those that register otherwise are refused", set: setTransports},
		{Name: "REGISTRATION_UPSTREAM", Kind: KindOurs, Range: "host:port", Meaning: "a real listener that registrations are passed through to", Cost: "without that listener nobody registers", set: setUpstream},
		{Name: "VALID_NODE_CHECKING_REGISTRATION", Kind: KindOracle, Live: true, Default: "ON", Range: "ON, SUBNET, OFF", Meaning: "ON: this host and invited nodes register; SUBNET: local subnets too; OFF: everyone", Cost: "OFF lets anyone take the clients of any service (CVE-2012-1675)", set: setNodeChecking},
	}
}

func setNodeChecking(c *Config, n *descriptor.Node) error {
	return words(func(c *Config) *registration.CheckMode { return &c.Admission.Mode }, map[string]registration.CheckMode{
		"on": registration.CheckLocal, "1": registration.CheckLocal, "local": registration.CheckLocal, "yes": registration.CheckLocal, "true": registration.CheckLocal,
		"subnet": registration.CheckSubnet, "2": registration.CheckSubnet,
		"off": registration.CheckOff, "0": registration.CheckOff, "no": registration.CheckOff, "false": registration.CheckOff,
	}, "ON", "SUBNET", "OFF")(c, n)
}
