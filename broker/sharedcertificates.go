package broker

import (
	"bytes"
	"fmt"
	"os"

	"github.com/caddyserver/certmagic"

	"servicebroker/discovery/consul"
)

// acmeShared is where brokers of one name keep what ACME issued: in Consul, sealed with the secret in the file ACME_SHARED_KEY; nil where
// there is no such file. client is nil where the configuration is only looked at.
func (c *Config) acmeShared(client *consul.Client) (certmagic.Storage, error) {
	if c.ACME.SharedKey == "" {
		return nil, nil
	}
	secret, err := os.ReadFile(c.ACME.SharedKey)
	if err != nil {
		return nil, fmt.Errorf("ACME_SHARED_KEY: %w", err)
	}
	own := c.acmeStorage()
	if own == "" {
		return nil, fmt.Errorf("ACME_SHARED_KEY: a copy of keys and certificates has to be kept: set STATE_DIRECTORY")
	}
	files := &consul.Files{Client: client, Secret: bytes.TrimSpace(secret), Copy: &certmagic.FileStorage{Path: own}}
	if err := files.Check(); err != nil {
		return nil, fmt.Errorf("ACME_SHARED_KEY: %s: %w", c.ACME.SharedKey, err)
	}
	return files, nil
}

// checkShared says that certificates cannot be shared.
func (r *reader) checkShared() {
	c := r.config
	switch {
	case c.ACME.SharedKey == "":
	case c.Consul.Address == "":
		r.say(r.at["ACME_SHARED_KEY"], SeverityError, "ACME_SHARED_KEY shares certificates through Consul: add CONSUL_ADDRESS, or take it out")
	case len(c.ACME.Names) == 0:
		r.say(r.at["ACME_SHARED_KEY"], SeverityWarning, "ACME_SHARED_KEY has no effect without ACME_NAMES")
	}
}
