package broker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/relay"
)

var errNoValue = errors.New("has no value: write one, or take the parameter out")

// misplaced is an error about part of a parameter.
type misplaced struct {
	at  *descriptor.Node
	err error
}

func (e *misplaced) Error() string { return e.err.Error() }
func (e *misplaced) Unwrap() error { return e.err }

// at says where err is, if there is one.
func at(n *descriptor.Node, err error) error {
	if err == nil || n == nil {
		return err
	}
	return &misplaced{n, err}
}

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

// minutes is a duration whose plain numbers are minutes.
func minutes(field func(*Config) *time.Duration) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		value := n.Value
		if _, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
			value += "min"
		}
		d, err := ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%q is not a time: write minutes, or a number with ms, s, min or h, such as 10min", n.Value)
		}
		*field(c) = d
		return nil
	}
}

func list(field func(*Config) *[]string) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		values := listOf(n)
		if len(values) == 0 {
			return errNoValue
		}
		*field(c) = values
		return nil
	}
}

func nodes(field func(*Config) *[]string) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		if err := list(field)(c, n); err != nil {
			return err
		}
		return registration.ParseNodes(*field(c))
	}
}

// words takes one of a few words, in any case.
func words[T any](field func(*Config) *T, meaning map[string]T, valid ...string) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		value, known := meaning[strings.ToLower(n.Value)]
		if !known {
			return unknownWord(n.Value, valid...)
		}
		*field(c) = value
		return nil
	}
}

// rate takes a number of connects a second.
func rate(field func(*Config) *float64) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) (err error) {
		*field(c), err = ParseRate(n.Value)
		return err
	}
}

// size takes a number of bytes.
func size(field func(*Config) *int64) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) (err error) {
		*field(c), err = ParseSize(n.Value)
		return err
	}
}

// hostPort takes host:port, or off.
func hostPort(example string, field func(*Config) *string) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		if strings.EqualFold(n.Value, "off") {
			*field(c) = ""
			return nil
		}
		if err := checkHostPort(n.Value); err != nil {
			return fmt.Errorf("%q is not host:port: write for example %s, or off", n.Value, example)
		}
		*field(c) = n.Value
		return nil
	}
}

func checkHostPort(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return err
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err
}

// listOf takes (A=x), (A=x,y), (A=(x,y)) and (A=(x)(y)).
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
			values = append(values, listOf(child)...)
		}
	}
	return values
}

// networksOf reads a list of networks and addresses.
func networksOf(n *descriptor.Node) ([]netip.Prefix, error) {
	values := listOf(n)
	if len(values) == 0 {
		return nil, at(n, fmt.Errorf("%s names no network: write for example (%s=192.0.2.0/24)", n.Name, n.Name))
	}
	networks := make([]netip.Prefix, 0, len(values))
	for _, v := range values {
		if v == "*" {
			networks = append(networks, netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0))
			continue
		}
		if a, err := netip.ParseAddr(descriptor.BareHost(v)); err == nil {
			networks = append(networks, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(v)
		if err != nil {
			return nil, at(n, fmt.Errorf("%q is not a network: write it as 10.1.0.0/16 or 2001:db8::/32", v))
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
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
	if err != nil || !(n >= 0 && n*unit.Seconds() <= 1e9) {
		return 0, fmt.Errorf("%q is not a time: write seconds, or a number with ms, s, min or h, such as 500ms", text)
	}
	return time.Duration(n * float64(unit)), nil
}

// ParseRate reads how many connects are allowed: a number a second, or a number with /s,
// /min or /h. 0 and off are no limit. The result is in connects a second.
func ParseRate(text string) (float64, error) {
	number, seconds := strings.ToLower(strings.TrimSpace(text)), 1.0
	if number == "off" {
		return 0, nil
	}
	if count, per, ok := strings.Cut(number, "/"); ok {
		number = strings.TrimSpace(count)
		switch strings.TrimSpace(per) {
		case "s", "sec":
		case "min":
			seconds = 60
		case "h":
			seconds = 3600
		default:
			number = ""
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0 && n <= 1e9) {
		return 0, fmt.Errorf("%q is not a rate: write connects a second, or a number with /s, /min or /h, such as 100/s, or off", text)
	}
	return n / seconds, nil
}

// ParseSize reads a number of bytes, which may carry k, M or G for 1024 bytes and their like.
// 0 and off are no limit.
func ParseSize(text string) (int64, error) {
	number, unit := strings.ToLower(strings.TrimSpace(text)), 1.0
	if number == "off" {
		return 0, nil
	}
	number = strings.TrimSuffix(strings.TrimSuffix(number, "/s"), "b")
	for suffix, u := range map[string]float64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = rest, u
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(n >= 0 && n*unit <= 1<<50) {
		return 0, fmt.Errorf("%q is not a number of bytes: write for example 65536, 64k, 10M or 1G, or off", text)
	}
	return int64(n * unit), nil
}

func setMemoryLimit(c *Config, n *descriptor.Node) (err error) {
	if c.MemoryLimit, err = ParseSize(n.Value); err == nil && c.MemoryLimit == 0 {
		c.MemoryLimit = -1
	}
	return err
}

func setConsoleAddress(c *Config, n *descriptor.Node) error {
	return hostPort("127.0.0.1:8521", func(c *Config) *string { return &c.ConsoleAddress })(c, n)
}

func setUpstream(c *Config, n *descriptor.Node) error {
	if err := checkHostPort(n.Value); err != nil {
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

func setVSNNUM(c *Config, n *descriptor.Node) error {
	number, err := strconv.ParseUint(n.Value, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is not a version number: write for example %d for 19.0.0.0.0, or 0", n.Value, defaultVSNNUM)
	}
	c.VSNNUM = uint32(number)
	return nil
}
