package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/loadbalance"
	"servicebroker/relay"
)

func onOff(field func(*Config) *bool) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		switch strings.ToLower(n.Value) {
		case "on", "yes", "true", "1":
			*field(c) = true
		case "off", "no", "false", "0":
			*field(c) = false
		default:
			return unknownWord(n.Value, "on", "off")
		}
		return nil
	}
}

func number(least, most int, field func(*Config) *int) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) error {
		count, err := strconv.Atoi(n.Value)
		if err != nil || count < least || count > most {
			return fmt.Errorf("%q is not a number from %d to %d", n.Value, least, most)
		}
		*field(c) = count
		return nil
	}
}

func setPolicy(c *Config, n *descriptor.Node) (err error) {
	c.Policy, err = loadbalance.ParsePolicy(n.Value)
	return err
}

func setHedge(c *Config, n *descriptor.Node) (err error) {
	if strings.EqualFold(n.Value, "learnt") {
		c.Hedge, c.HedgeLearnt = 0, true
		return nil
	}
	c.Hedge, err = ParseDuration(n.Value)
	c.HedgeLearnt = false
	return err
}

func setSlowStart(c *Config, n *descriptor.Node) (err error) {
	c.SlowStart, err = ParseDuration(n.Value)
	return err
}

func setHoldRate(c *Config, n *descriptor.Node) error {
	rate, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || !(rate > 0 && rate <= 1e6) {
		return fmt.Errorf("%q is not a number of connects a second: write for example 500", n.Value)
	}
	c.HoldRate = rate
	return nil
}

func setHoldShare(c *Config, n *descriptor.Node) error { return setPart(&c.HoldShare, n) }

func setHoldClientShare(c *Config, n *descriptor.Node) error { return setPart(&c.HoldClientShare, n) }

func setPart(to *float64, n *descriptor.Node) error {
	part, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || !(part > 0 && part <= 1) {
		return fmt.Errorf("%q is not a part of the whole: write more than 0 and at most 1, for example 0.5", n.Value)
	}
	*to = part
	return nil
}

// addService reads one (SERVICE=(NAME=…)…).
func addService(c *Config, n *descriptor.Node) (err error) {
	var s ServiceSetting
	for _, child := range n.Children {
		switch strings.ToUpper(child.Name) {
		case "NAME":
			s.Pattern = child.Value
		case "TIERS":
			s.Tiers, err = loadbalance.ParseTiers(child.Value)
		default:
			var known bool
			if known, err = treat(&s.Treatment, child); err == nil && !known {
				err = fmt.Errorf("no such setting: %s", oneMeant(child.Name, append([]string{"NAME", "TIERS"}, treatments...)))
			}
		}
		if err != nil {
			return at(child, fmt.Errorf("%s: %w", child.Name, err))
		}
	}
	if s.Pattern == "" {
		return fmt.Errorf("it has no NAME: write (SERVICE=(NAME=sales*)(POLICY=sessions))")
	}
	c.Services = append(c.Services, s)
	return nil
}

// treatments are the words that a rule's ACTION_LIST and a SERVICE share.
var treatments = []string{
	"ROUTE", "POLICY", "HOLD_TIMEOUT", "ATTEMPT_TIMEOUT", "IDLE_TIMEOUT", "SESSION_TIMEOUT", "OUTBOUND_CONNECT_TIMEOUT",
	"RATE", "MAX_SESSIONS", "BANDWIDTH",
}

// treat reads one of treatments and reports whether n is one.
func treat(t *relay.Treatment, n *descriptor.Node) (known bool, err error) {
	switch strings.ToUpper(n.Name) {
	case "ROUTE":
		t.Mode, err = parseMode(n.Value)
	case "POLICY":
		var policy loadbalance.Policy
		policy, err = loadbalance.ParsePolicy(n.Value)
		t.Policy = policy.String()
	case "HOLD_TIMEOUT":
		t.HoldTimeout, err = ParseDuration(n.Value)
		t.HoldSet = true
	case "ATTEMPT_TIMEOUT":
		if t.AttemptTimeout, err = ParseDuration(n.Value); err == nil && t.AttemptTimeout == 0 {
			err = fmt.Errorf("0 gives no instance any time: write for example 3")
		}
	case "IDLE_TIMEOUT", "MIT":
		t.IdleTimeout, err = parseTimeout(n)
	case "SESSION_TIMEOUT", "MCT":
		t.SessionTimeout, err = parseTimeout(n)
	case "OUTBOUND_CONNECT_TIMEOUT", "MOCT":
		t.DialTimeout, err = parseTimeout(n)
	default:
		return treatLimits(t, n)
	}
	return true, err
}

// parseTimeout reads a time of which 0 is none at all.
func parseTimeout(n *descriptor.Node) (relay.Timeout, error) {
	limit, err := ParseDuration(n.Value)
	return relay.TimeoutOf(limit), err
}

var errLimitsNothing = errors.New("that limits nothing: leave it out, or write what is the most")

// treatLimits reads those of treatments that limit how much.
func treatLimits(t *relay.Treatment, n *descriptor.Node) (known bool, err error) {
	switch strings.ToUpper(n.Name) {
	case "RATE":
		if t.Rate, err = ParseRate(n.Value); err == nil && t.Rate == 0 {
			err = errLimitsNothing
		}
	case "MAX_SESSIONS":
		err = number(1, 10_000_000, func(*Config) *int { return &t.MaxSessions })(nil, n)
	case "BANDWIDTH":
		if t.Bandwidth, err = ParseSize(n.Value); err == nil && t.Bandwidth == 0 {
			err = errLimitsNothing
		}
	default:
		return false, nil
	}
	return true, err
}

// longestAttempt is the longest that any connect may give one attempt.
func (c *Config) longestAttempt() time.Duration {
	longest := c.AttemptTimeout
	for i := range c.Rules {
		longest = max(longest, c.Rules[i].AttemptTimeout)
	}
	for i := range c.Services {
		longest = max(longest, c.Services[i].Treatment.AttemptTimeout)
	}
	return longest
}
