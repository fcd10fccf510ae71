package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
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

	mu         sync.Mutex // guards what follows
	api        *api.Client
	transport  *http.Transport
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
	c.transport = config.Transport
	made.Transport = &authorized{RoundTripper: made.Transport, file: c.TokenFile}
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

// authorized adds the token to each request.
type authorized struct {
	http.RoundTripper
	file string

	mu    sync.Mutex // guards what follows
	token string
	state os.FileInfo // of the file as it was read
}

func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := a.current()
	if err != nil {
		return nil, err
	}
	if token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("X-Consul-Token", token)
	}
	answer, err := a.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = &bounded{answer.Body, maxAnswer}
	}
	return answer, err
}

// maxAnswer bounds what one answer may cost in memory: ten thousand instances take a tenth of it.
const maxAnswer = 64 << 20

// bounded is a body of which no more than so much is read.
type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than %d MiB: nothing of it is believed", maxAnswer>>20)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// current returns the token, from the file if that has changed; the last one while the file is being replaced.
func (a *authorized) current() (string, error) {
	if a.file == "" {
		return "", nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	state, err := os.Stat(a.file)
	if err == nil && a.state != nil && os.SameFile(state, a.state) && state.ModTime().Equal(a.state.ModTime()) && state.Size() == a.state.Size() {
		return a.token, nil
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(a.file)
	}
	if token := strings.TrimSpace(string(content)); err == nil && token != "" {
		a.token, a.state = token, state
	}
	if a.token == "" {
		return "", fmt.Errorf("CONSUL_TOKEN_FILE=%s holds no token: %w", a.file, cmp.Or(err, errors.New("it is empty")))
	}
	return a.token, nil
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
const rightsNeeded = `node_prefix "oracle-" write, node_prefix "" read, service_prefix "" write, session_prefix "" write, agent_prefix "" read, key_prefix "broker/" write`

// explain adds to an error of Consul's what to do about it.
func explain(err error) error {
	var status api.StatusError
	if errors.As(err, &status) && (status.Code == http.StatusForbidden || status.Code == http.StatusUnauthorized) {
		return fmt.Errorf("refused by Consul: %w: the token in CONSUL_TOKEN_FILE needs %s", err, rightsNeeded)
	}
	return err
}

// following is a blocking query that goes on.
type following struct {
	*Client
	wait time.Duration // of one query; 0: 1 minute
	// ask asks once; seen is told of each answer, changed or not. lost says that Consul is not the same as before: its index went
	// backwards, as after a restore or a new start.
	ask  func(*api.QueryOptions) (*api.QueryMeta, error)
	seen func(lost bool)
	fail func(error)
}

// run follows until ctx ends. After a fault it does not wait for an index that a new Consul may reach in days.
func (f *following) run(ctx context.Context) {
	var index, last uint64 // to wait for, 0 for nothing; and as seen
	failures := 0
	for ctx.Err() == nil {
		wait := cmp.Or(f.wait, time.Minute)
		bounded, cancel := context.WithTimeout(ctx, wait+wait/16+f.timeout())
		q := &api.QueryOptions{WaitIndex: index, WaitTime: wait}
		q.Namespace, q.Partition = f.scope(bounded)
		meta, err := f.ask(q.WithContext(bounded))
		cancel()
		if err != nil {
			index = 0
			failures++
			if f.fail != nil && ctx.Err() == nil {
				f.fail(explain(err))
			}
			if !pause(ctx, min(250*time.Millisecond<<min(failures, 7), 30*time.Second)) {
				return
			}
			continue
		}
		failures = 0
		lost := meta.LastIndex < last
		index, last = meta.LastIndex, meta.LastIndex
		if lost {
			index = 0
		}
		f.seen(lost)
		if index == 0 && !pause(ctx, time.Second) { // nothing to wait for: no busy loop
			return
		}
	}
}

// pause waits between three quarters of d and all of it, so that brokers do not come all at once; false if ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d - rand.N(d/4+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
