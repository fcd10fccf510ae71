package broker

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"

	"servicebroker/descriptor"
)

// ConsulSettings is how the broker speaks with Consul.
type ConsulSettings struct {
	Address              string // CONSUL_ADDRESS of an agent: host:port, http://…, https://… or unix:/…; empty: off
	TokenFile            string // CONSUL_TOKEN_FILE; empty: no token
	Datacenter           string // CONSUL_DATACENTER; empty: the agent's
	Prefix               string // CONSUL_PREFIX
	Namespace, Partition string // CONSUL_NAMESPACE, CONSUL_PARTITION, of servers that have them
	ToBrokers            bool   // CONSUL_TARGET=brokers
	CA, Certificate, Key string // CONSUL_TLS, PEM
	ServerName           string // CONSUL_TLS: whom the agent's certificate has to name; empty: whom the address does
}

// tls reports whether CONSUL_TLS says anything.
func (s *ConsulSettings) tls() bool {
	return s.CA != "" || s.Certificate != "" || s.Key != "" || s.ServerName != ""
}

// consulParameters are about the mirror in Consul, and what brokers share there.
func consulParameters() []Parameter {
	return []Parameter{
		{Name: "CONSUL_ADDRESS", Kind: KindOurs, Range: "host:port, https://host:port, unix:/path, off", Meaning: "the Consul agent through which services are published, brokers know of each other and intents are shared", Cost: "whoever may write there can put instances into maintenance and change intents", set: setConsulAddress},
		{Name: "CONSUL_DATACENTER", Kind: KindOurs, Default: "the agent's", Range: "name", Meaning: "datacenter that is written to", set: text(func(c *Config) *string { return &c.Consul.Datacenter })},
		{Name: "CONSUL_NAMESPACE", Kind: KindOurs, Range: "name", Meaning: "namespace, with servers that have such", Cost: "others disregard it", set: text(func(c *Config) *string { return &c.Consul.Namespace })},
		{Name: "CONSUL_PARTITION", Kind: KindOurs, Range: "name", Meaning: "admin partition, with servers that have such", Cost: "others disregard it", set: text(func(c *Config) *string { return &c.Consul.Partition })},
		{Name: "CONSUL_PREFIX", Kind: KindOurs, Default: "broker/", Range: "letters, digits, - and /", Meaning: "where keys are kept, and whose entries are whose: brokers of one prefix publish one table and share intents", Cost: "brokers of two prefixes know nothing of each other", set: setConsulPrefix},
		{Name: "CONSUL_TARGET", Kind: KindOurs, Default: "instances", Range: "instances, brokers", Meaning: "what is published as a service: the instances, or the brokers that have it", Cost: "instances: clients that look there reach databases without the broker", set: words(func(c *Config) *bool { return &c.Consul.ToBrokers },
			map[string]bool{"instances": false, "brokers": true}, "instances", "brokers")},
		{Name: "CONSUL_TLS", Kind: KindOurs, Range: "see above", Meaning: "how the agent is spoken to over https: `(CONSUL_TLS=(CA=file)(CERTIFICATE=file)(KEY=file)(SERVER_NAME=name))`", set: setConsulTLS},
		{Name: "CONSUL_TOKEN_FILE", Kind: KindOurs, Range: "file", Meaning: "ACL token, alone in a file, which is read again as soon as it changes", Cost: "who reads it can do what the broker can do in Consul", set: text(func(c *Config) *string { return &c.Consul.TokenFile })},
	}
}

func setConsulAddress(c *Config, n *descriptor.Node) error {
	value := strings.TrimRight(n.Value, "/")
	u, err := url.Parse(value)
	switch {
	case strings.EqualFold(value, "off"):
		c.Consul.Address = ""
		return nil
	case strings.HasPrefix(value, "unix:") && strings.Trim(strings.TrimPrefix(value, "unix:"), "/") != "":
	case err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Path == "" && u.User == nil:
	case checkHostPort(value) == nil:
	case value != "" && checkHostPort(value+":8500") == nil:
		value += ":8500"
	default:
		return fmt.Errorf("%q is no agent's address: write for example 127.0.0.1:8500, https://consul.example.com:8501 or unix:/run/consul/http.sock, or off", n.Value)
	}
	c.Consul.Address = value
	return nil
}

// maxConsulPrefix leaves room in a key, which may have 512 bytes, for what follows.
const maxConsulPrefix = 64

func setConsulPrefix(c *Config, n *descriptor.Node) error {
	value := strings.Trim(n.Value, "/")
	stray := strings.IndexFunc(value, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./", r)
	})
	switch {
	case value == "":
		return errNoValue
	case len(value) > maxConsulPrefix:
		return fmt.Errorf("it is %d bytes long: keep it within %d", len(value), maxConsulPrefix)
	case stray >= 0 || strings.Contains(value, "..") || path.Clean(value) != value: // servers would take it for another
		return fmt.Errorf("%q cannot be a prefix of keys: use letters, digits, - and single /, such as broker/", n.Value)
	}
	c.Consul.Prefix = value + "/"
	return nil
}

// setConsulTLS reads (CONSUL_TLS=(CA=…)…).
func setConsulTLS(c *Config, n *descriptor.Node) error {
	s := &c.Consul
	err := readFields(n, []field{textField("CA", &s.CA), textField("CERTIFICATE", &s.Certificate), textField("KEY", &s.Key), textField("SERVER_NAME", &s.ServerName)})
	switch {
	case err != nil:
		return err
	case !s.tls():
		return errNoValue
	case s.Key != "" && s.Certificate == "":
		return errors.New("KEY has no CERTIFICATE: add it")
	case s.Certificate != "" && s.Key == "":
		return errors.New("CERTIFICATE has no KEY: add it")
	}
	return nil
}

// checkConsul says what does not go together.
func (r *reader) checkConsul() {
	s := &r.config.Consul
	if s.Address == "" {
		for _, name := range []string{"CONSUL_TOKEN_FILE", "CONSUL_DATACENTER", "CONSUL_NAMESPACE", "CONSUL_PARTITION", "CONSUL_PREFIX", "CONSUL_TARGET", "CONSUL_TLS"} {
			if n := r.at[name]; n != nil {
				r.say(n, SeverityWarning, "%s has no effect without an agent: add for example (CONSUL_ADDRESS=127.0.0.1:8500)", name)
			}
		}
		return
	}
	if !s.tls() {
		return
	}
	switch {
	case strings.HasPrefix(s.Address, "http:"), strings.HasPrefix(s.Address, "unix:"):
		r.say(r.at["CONSUL_TLS"], SeverityError, "CONSUL_ADDRESS=%s is not spoken to over TLS: write https:// there, or take out CONSUL_TLS", s.Address)
	case !strings.HasPrefix(s.Address, "https:"):
		s.Address = "https://" + s.Address
	}
}
