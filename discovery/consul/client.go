package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Client says how to reach Consul. Its fields are not to be changed once it is used; it may be shared.
type Client struct {
	Address    string // "host:port", "http://…", "https://…" or "unix:///…" of an agent; "": 127.0.0.1:8500
	TokenFile  string // read again as it changes; "": no token
	Datacenter string // "": the agent's
	// Prefix is where brokers keep what they share, and marks what is theirs; brokers of one prefix write for each other. "": broker/.
	Prefix string
	// Namespace and Partition are used only with servers that have them, those of Consul Enterprise.
	Namespace, Partition string
	// CA, Certificate and Key are PEM files; ServerName is whom the certificate of https must name, "" whom the address does.
	CA, Certificate, Key, ServerName string
	Timeout                          time.Duration // for one request; 0: 10 s
	// Back is told whenever Consul answers again after faults, or turns out to have lost its memory; it must not wait. May be nil.
	Back func()

	mu         sync.Mutex // guards what follows
	api        *api.Client
	transport  *http.Transport
	authorized *authorized
	known      bool // whether the server has namespaces
	enterprise bool
}

// Check tells whether Consul can be spoken to as is said: not whether there is one.
func (c *Client) Check() error {
	_, err := c.open()
	return err
}

// Folder is where brokers keep what they share: "broker/".
func (c *Client) Folder() string { return c.prefix() }

func (c *Client) prefix() string { return strings.Trim(cmp.Or(c.Prefix, "broker/"), "/") + "/" }

// owner is the value by which entries of ours are known.
func (c *Client) owner() string { return strings.TrimSuffix(c.prefix(), "/") }

func (c *Client) timeout() time.Duration { return cmp.Or(c.Timeout, 10*time.Second) }

// open returns the library's client.
func (c *Client) open() (*api.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.api != nil {
		return c.api, nil
	}
	config := api.DefaultNonPooledConfig()
	config.Address, config.Scheme = cmp.Or(c.Address, "127.0.0.1:8500"), "http"
	if u, err := url.Parse(config.Address); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		config.Address, config.Scheme = u.Host, u.Scheme
	}
	if path, is := strings.CutPrefix(config.Address, "unix:"); is {
		path = "/" + strings.TrimLeft(path, "/")
		config.Address = "localhost"
		config.Transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	config.Token, config.TokenFile, config.Datacenter, config.HttpAuth = "", "", c.Datacenter, nil
	config.Namespace, config.Partition = "", ""
	config.TLSConfig = api.TLSConfig{Address: c.ServerName, CAFile: c.CA, CertFile: c.Certificate, KeyFile: c.Key}
	config.Transport.DisableKeepAlives = false
	config.Transport.MaxIdleConnsPerHost = parallel
	config.Transport.IdleConnTimeout = 30 * time.Second
	made, err := api.NewHttpClient(config.Transport, config.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("CONSUL_TLS: %w", err)
	}
	made.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token is for nobody else
	c.transport = config.Transport
	c.authorized = &authorized{RoundTripper: made.Transport, file: c.TokenFile}
	made.Transport = c.authorized
	config.HttpClient = made
	if c.api, err = api.NewClient(config); err != nil {
		return nil, fmt.Errorf("CONSUL_ADDRESS: %w", err)
	}
	return c.api, nil
}

// Close gives up idle connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

// query are the options of one read, bounded in time.
func (c *Client) query(ctx context.Context) (*api.QueryOptions, context.CancelFunc) {
	bounded, cancel := context.WithTimeout(ctx, c.timeout())
	q := &api.QueryOptions{RequireConsistent: true}
	q.Namespace, q.Partition = c.scope(bounded)
	return q.WithContext(bounded), cancel
}

func (c *Client) writing(ctx context.Context) (*api.WriteOptions, context.CancelFunc) {
	bounded, cancel := context.WithTimeout(ctx, c.timeout())
	w := &api.WriteOptions{}
	w.Namespace, w.Partition = c.scope(bounded)
	return w.WithContext(bounded), cancel
}

// scope returns namespace and partition, if the server has such.
func (c *Client) scope(ctx context.Context) (namespace, partition string) {
	if c.Namespace == "" && c.Partition == "" {
		return "", ""
	}
	consul, err := c.open()
	if err != nil {
		return "", ""
	}
	c.mu.Lock()
	known, enterprise := c.known, c.enterprise
	c.mu.Unlock()
	if !known {
		var self struct{ Config struct{ Version string } }
		if _, err := consul.Raw().Query("/v1/agent/self", &self, new(api.QueryOptions).WithContext(ctx)); err != nil {
			return c.Namespace, c.Partition // a server that has none refuses them, and nothing lands in the wrong place
		}
		enterprise = strings.Contains(self.Config.Version, "+ent")
		c.mu.Lock()
		c.known, c.enterprise = true, enterprise
		c.mu.Unlock()
	}
	if !enterprise {
		return "", ""
	}
	return c.Namespace, c.Partition
}

// rightsNeeded is the policy of a broker's token, with a prefix of broker/.
const rightsNeeded = `node_prefix "oracle-" write, node_prefix "" read, service_prefix "" write, session_prefix "" write, key_prefix "broker/" write`

// explain adds to an error of Consul's what to do about it.
func explain(err error) error {
	var status api.StatusError
	if errors.As(err, &status) && (status.Code == http.StatusForbidden || status.Code == http.StatusUnauthorized) {
		return fmt.Errorf("refused by Consul: %w: the token in CONSUL_TOKEN_FILE needs %s", err, rightsNeeded)
	}
	return err
}
