package broker

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/relay"
)

// Parameter is one entry of PARAMETER_LIST that this broker knows.
type Parameter struct {
	Name    string
	Default string
	Meaning string
	set     func(*Config, *descriptor.Node) error
}

// Parameters returns the parameters in force in this version, by name. Times are
// seconds and may carry ms, s, min or h.
func Parameters() []Parameter {
	return []Parameter{
		{"ADMIN_SOCKET", "<state>/admin.sock", "path of the admin socket", text(func(c *Config) *string { return &c.AdminSocket })},
		{"ATTEMPT_TIMEOUT", "3", "one dial of an instance and its ACCEPT; longer waits for slow hosts, shorter passes over silent ones sooner", duration(func(c *Config) *time.Duration { return &c.AttemptTimeout })},
		{"BROKERS", "1", "brokers that share the load, for POLICY=adaptive where clients are redirected; too many or too few by a factor of two costs little", number(1, 1000, func(c *Config) *int { return &c.Brokers })},
		{"CONSOLE_ADDRESS", "127.0.0.1:8521", "host:port of page and API; off for none", setConsoleAddress},
		{"DRAIN_TIMEOUT", "300", "how long open sessions may go on after the broker was told to stop; 0 without limit", duration(func(c *Config) *time.Duration { return &c.DrainTimeout })},
		{"HEDGE", "learnt", "start the next instance if the one tried is silent for so long; learnt from how long instances take, at most 500ms; 0 off, and then a silent one costs ATTEMPT_TIMEOUT", setHedge},
		{"HOLD_DRY_RUN", "off", "on: hold nobody, count who would have been", onOff(func(c *Config) *bool { return &c.HoldDryRun })},
		{"HOLD_MEMORY", "300", "hold connects for a service that was available so lately; 0 holds only what operators hold", duration(func(c *Config) *time.Duration { return &c.HoldMemory })},
		{"HOLD_RELEASE_RATE", "500", "held connects let go each second when their service is back; higher empties the line sooner, lower spares an instance that has just come up", setHoldRate},
		{"HOLD_SHARE", "0.5", "part of MAX_HELD that one service may take", setHoldShare},
		{"HOLD_TIMEOUT", "30", "how long a connect waits for a service that is away for a moment; 0 off, and then it is refused at once", duration(func(c *Config) *time.Duration { return &c.HoldTimeout })},
		{"IDLE_TIMEOUT", "0", "ends a relayed session that moves no byte for so long; 0 never", duration(func(c *Config) *time.Duration { return &c.IdleTimeout })},
		{"INBOUND_CONNECT_TIMEOUT", "60", "time for a client's whole CONNECT; 0 waits for ever, at the price of a connection each", duration(func(c *Config) *time.Duration { return &c.InboundTimeout })},
		{"MAX_HELD", "10000", "connects that may be held at once; each costs up to 8 kB and its connection", number(1, 1_000_000, func(c *Config) *int { return &c.MaxHeld })},
		{"MAX_REG_CONNECTIONS", "512", "registrations at a time", setMaxRegistrations},
		{"MOVE_WINDOW", "60", "a service that leaves one instance and appears on another within this is one move", duration(func(c *Config) *time.Duration { return &c.MoveWindow })},
		{"OUTBOUND_CONNECT_TIMEOUT", "60", "all attempts of one connect together; 0 as long as each of them may take", duration(func(c *Config) *time.Duration { return &c.DialTimeout })},
		{"POLICY", "adaptive", "how to choose among instances: adaptive, goodness (as an Oracle listener), sessions, roundrobin or random", setPolicy},
		{"PREFER_LEAST_LOADED_NODE", "on", "off: POLICY=goodness disregards the load of machines", onOff(func(c *Config) *bool { return &c.PreferLeastLoadedNode })},
		{"PROBE_INTERVAL", "5", "how often every handler is asked whether it answers; 0 off, and then a hung host is found by the client that hedges past it", duration(func(c *Config) *time.Duration { return &c.ProbeInterval })},
		{"PROBE_TIMEOUT", "2", "how long a probe waits", duration(func(c *Config) *time.Duration { return &c.ProbeTimeout })},
		{"REDIRECT_VERIFY", "on", "probe a handler not seen alive within PROBE_INTERVAL before a client is sent there; off saves that time and may send clients to the dead", onOff(func(c *Config) *bool { return &c.RedirectVerify })},
		{"REGISTRANT", "", "who may offer what: (REGISTRANT=(NAME=prod)(SRC=10.1.0.0/16)(SERVICES=sales*)(HANDLERS=10.1.0.0/16)(TIER=1)(ZONE=a)), repeatable; a service that a rule claims and another offers is quarantined", addRegistrant},
		{"REGISTRATION_ANSWER", "none", "what a database's registration is answered with: none, ids or mirror", setAnswer},
		{"REGISTRATION_EXCLUDED_NODES", "", "hosts, addresses or networks that may not register; invited ones win", nodes(func(c *Config) *[]string { return &c.Admission.Excluded })},
		{"REGISTRATION_INVITED_NODES", "", "hosts, addresses or networks that may register, besides this host", nodes(func(c *Config) *[]string { return &c.Admission.Invited })},
		{"REGISTRATION_TRANSPORTS", "TCP,TCPS", "transports over which databases may register", setTransports},
		{"REGISTRATION_UPSTREAM", "", "host:port of a real listener that registrations are passed through to", setUpstream},
		{"ROUTE", "relay", "relay carries sessions, redirect sends clients to the instance's own address", setRoute},
		{"SERVICE", "", "what is different for some services: (SERVICE=(NAME=sales*)(POLICY=…)(ROUTE=…)(HOLD_TIMEOUT=…)(IDLE_TIMEOUT=…)(TIERS=a,b;c)), repeatable, the first that fits applies", addService},
		{"SESSION_TIMEOUT", "0", "ends a relayed session so long after it began; 0 never", duration(func(c *Config) *time.Duration { return &c.SessionTimeout })},
		{"SLOW_START", "60", "how long a new or recovered instance takes to its full share; 0 off", setSlowStart},
		{"STALE_TIMEOUT", "90", "how long an instance whose registration is gone is still used while it answers", duration(func(c *Config) *time.Duration { return &c.StaleTimeout })},
		{"STATE_DIRECTORY", "$STATE_DIRECTORY, else $XDG_STATE_HOME/servicebroker/<instance>", "folder for state and admin socket", text(func(c *Config) *string { return &c.StateDirectory })},
		{"VALID_NODE_CHECKING_REGISTRATION", "ON", "ON: this host and invited nodes register; SUBNET: local subnets too; OFF: everyone", setNodeChecking},
		{"VSNNUM", strconv.Itoa(defaultVSNNUM), "version number that refusals and the version command claim; 0 hides it", setVSNNUM},
		{"ZONE", "", "where this broker stands: instances of the same zone are used first", text(func(c *Config) *string { return &c.Zone })},
	}
}

// parameter finds a parameter by name, in any case.
func parameter(name string) *Parameter {
	all := Parameters()
	for i := range all {
		if strings.EqualFold(all[i].Name, name) {
			return &all[i]
		}
	}
	return nil
}

var errNoValue = errors.New("has no value")

func text(field func(*Config) *string) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		if n.Value == "" {
			return errNoValue
		}
		*field(c) = n.Value
		return nil
	}
}

func duration(field func(*Config) *time.Duration) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) (err error) {
		*field(c), err = ParseDuration(n.Value)
		return err
	}
}

func nodes(field func(*Config) *[]string) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		values := listOf(n)
		if len(values) == 0 {
			return errNoValue
		}
		*field(c) = values
		return registration.ParseNodes(values)
	}
}

func setTransports(c *Config, n *descriptor.Node) error {
	c.Admission.Transports = nil
	for _, word := range listOf(n) {
		switch t := strings.ToUpper(word); t {
		case "TCP", "TCPS":
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

// listOf takes (A=x), (A=x,y) and (A=(x,y)).
func listOf(n *descriptor.Node) []string {
	var values []string
	add := func(text string) {
		for _, v := range strings.Split(text, ",") {
			if v = strings.TrimSpace(v); v != "" {
				values = append(values, v)
			}
		}
	}
	add(n.Value)
	for _, child := range n.Children {
		if child.Name == "" {
			add(child.Value)
		}
	}
	return values
}

// ParseDuration reads a time as parameters have it: seconds, or a number with
// ms, s, min or h.
func ParseDuration(text string) (time.Duration, error) {
	number, unit := strings.ToLower(strings.TrimSpace(text)), time.Second
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"min", time.Minute}, {"sec", time.Second}, {"s", time.Second}, {"h", time.Hour}} {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = strings.TrimSpace(rest), u.unit
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || n > 1e9 || n != n {
		return 0, fmt.Errorf("%q is not a time: write seconds, or a number with ms, s, min or h, such as 500ms", text)
	}
	return time.Duration(n * float64(unit)), nil
}

func setConsoleAddress(c *Config, n *descriptor.Node) error {
	if strings.EqualFold(n.Value, "off") {
		c.ConsoleAddress = ""
		return nil
	}
	if _, _, err := net.SplitHostPort(n.Value); err != nil {
		return fmt.Errorf("%q is not host:port: write for example 127.0.0.1:8521, or off", n.Value)
	}
	c.ConsoleAddress = n.Value
	return nil
}

func setUpstream(c *Config, n *descriptor.Node) error {
	if _, _, err := net.SplitHostPort(n.Value); err != nil {
		return fmt.Errorf("%q is not host:port: name a real listener, for example dbhost:1521", n.Value)
	}
	c.Upstream = n.Value
	return nil
}

func setRoute(c *Config, n *descriptor.Node) (err error) {
	c.Mode, err = parseMode(n.Value)
	return err
}

func parseMode(word string) (relay.Mode, error) {
	switch strings.ToLower(word) {
	case "relay":
		return relay.ModeRelay, nil
	case "redirect":
		return relay.ModeRedirect, nil
	}
	return relay.ModeUnset, unknownWord(word, "relay", "redirect")
}

func setAnswer(c *Config, n *descriptor.Node) (err error) {
	switch strings.ToLower(n.Value) {
	case "none":
		c.Answer = registration.AnswerNone
	case "ids":
		c.Answer = registration.AnswerIDs
	case "mirror":
		c.Answer = registration.AnswerMirror
	default:
		err = unknownWord(n.Value, "none", "ids", "mirror")
	}
	return err
}

func setNodeChecking(c *Config, n *descriptor.Node) (err error) {
	switch strings.ToLower(n.Value) {
	case "on", "1", "local", "yes", "true":
		c.Admission.Mode = registration.CheckLocal
	case "subnet", "2":
		c.Admission.Mode = registration.CheckSubnet
	case "off", "0", "no", "false":
		c.Admission.Mode = registration.CheckOff
	default:
		err = unknownWord(n.Value, "ON", "SUBNET", "OFF")
	}
	return err
}

func setMaxRegistrations(c *Config, n *descriptor.Node) error {
	count, err := strconv.Atoi(n.Value)
	if err != nil || count < 1 {
		return fmt.Errorf("%q is not a number of connections: write 1 or more", n.Value)
	}
	c.MaxRegistrations = count
	return nil
}

func setVSNNUM(c *Config, n *descriptor.Node) error {
	number, err := strconv.ParseUint(n.Value, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is not a version number: write for example %d for 19.0.0.0.0, or 0", n.Value, defaultVSNNUM)
	}
	c.VSNNUM = uint32(number)
	return nil
}
