package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hashicorp/consul/api"
)

// ErrNoConsul says that there is no Consul to be started.
var ErrNoConsul = errors.New("consul is not here: run scripts/testdeps, or put a consul binary, 1.8 or later, in the path")

// Consul is a real Consul, server and agent in one, which forgets everything when it is killed.
type Consul struct {
	*Process
	API     *api.Client
	Address string // of its HTTP API, host:port
	DNS     string // of its DNS, host:port
	program string
	folder  string
	options []string
	close   func()
}

// StartConsul starts one and returns once it has a leader. root is the folder of the module; options are those of consul agent. Stop ends it.
func StartConsul(ctx context.Context, root string, options ...string) (_ *Consul, err error) {
	c := &Consul{}
	if c.program, err = filepath.Abs(filepath.Join(root, ".testdeps/bin/consul")); err == nil {
		_, err = os.Stat(c.program)
	}
	if err != nil {
		if c.program, err = exec.LookPath("consul"); err != nil {
			return nil, ErrNoConsul
		}
	}
	if c.folder, err = os.MkdirTemp("", "consul-"); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ { // a port that was free may not be any more
		err := c.begin(ctx, options)
		if err == nil {
			return c, nil
		}
		taken := c.Process != nil && !c.Running()
		c.end()
		if !taken || attempt == 3 {
			return nil, errors.Join(err, os.RemoveAll(c.folder))
		}
	}
}

// begin starts it at ports of its own.
func (c *Consul) begin(ctx context.Context, options []string) (err error) {
	ports := make([]string, 5)
	for i := range ports {
		at, err := FreeAddress()
		if err != nil {
			return err
		}
		_, ports[i], _ = net.SplitHostPort(at)
	}
	c.Address, c.DNS = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	c.options = append([]string{"agent", "-dev", "-node=agent", "-bind=127.0.0.1", "-client=127.0.0.1", "-log-level=err", "-grpc-port=-1",
		"-http-port=" + ports[0], "-dns-port=" + ports[1], "-server-port=" + ports[2], "-serf-lan-port=" + ports[3], "-serf-wan-port=" + ports[4]}, options...)
	config := api.DefaultConfig()
	config.Address = c.Address
	c.close = config.Transport.CloseIdleConnections
	if c.API, err = api.NewClient(config); err != nil {
		return err
	}
	return c.Restart(ctx)
}

// Restart starts it again, with nothing in it.
func (c *Consul) Restart(ctx context.Context) (err error) {
	if c.Process != nil {
		c.Kill()
	}
	if c.Process, err = Start("consul", c.program, c.options...); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return Eventually(ctx, func() error {
		if !c.Running() {
			cancel(fmt.Errorf("consul ended at once: %v", c.State()))
		}
		nodes, _, err := c.API.Catalog().Nodes(new(api.QueryOptions).WithContext(ctx))
		if err == nil && (len(nodes) == 0 || len(nodes[0].TaggedAddresses) == 0) {
			err = errors.New("the agent does not know itself yet")
		}
		return err
	})
}

// Stop ends it and removes what it left behind.
func (c *Consul) Stop() {
	c.end()
	_ = os.RemoveAll(c.folder)
}

func (c *Consul) end() {
	if c.Process != nil {
		c.Kill()
	}
	if c.close != nil {
		c.close()
	}
}
