package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

type registerCommand struct {
	Broker   []string      `required:"" placeholder:"HOST:PORT" help:"Brokers to register with."`
	Instance string        `required:"" help:"Instance name."`
	Service  []string      `required:"" help:"Services that the instance offers."`
	Address  string        `required:"" placeholder:"HOST:PORT" help:"Address of the database's own listener, where clients are to be sent."`
	Interval time.Duration `default:"10s" help:"How often load is reported; shorter balances better and costs a message each."`
	Max      uint32        `default:"150" help:"Sessions the instance can take (PROCESSES)."`
	Timeout  time.Duration `default:"3s" help:"How long the local listener may take to answer before the instance is withdrawn."`
}

// Run keeps the instance registered until it is told to stop. While the local
// listener does not answer, the instance is withdrawn.
func (c *registerCommand) Run(ctx context.Context, t *terminal) error {
	host, portText, err := net.SplitHostPort(c.Address)
	port, perr := strconv.Atoi(portText)
	if err != nil || perr != nil || host == "" || port < 1 || port > 65535 {
		return &exitError{exitUsage, fmt.Errorf("--address %q is not HOST:PORT: name the database's listener, for example db1:1521", c.Address)}
	}
	for _, b := range c.Broker {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return &exitError{exitUsage, fmt.Errorf("--broker %q is not HOST:PORT", b)}
		}
	}
	if c.Interval <= 0 {
		return &exitError{exitUsage, fmt.Errorf("--interval %v is no time to report at: use for example 10s", c.Interval)}
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(t.out, nil))
	agent := &registration.Agent{
		Brokers:  c.Broker,
		Describe: func() servicetable.Registration { return c.describe(host, port) },
		Interval: c.Interval,
		Healthy:  func(ctx context.Context) error { return c.healthy(ctx) },
		Log:      log,
	}
	log.Info("registering", "instance", c.Instance, "services", strings.Join(c.Service, ","), "brokers", strings.Join(c.Broker, ","))
	if err := agent.Run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// describe is the whole registration with load as of now.
func (c *registerCommand) describe(host string, port int) servicetable.Registration {
	node, nodeMax := nodeLoad()
	sessions := establishedOn(port)
	machine, err := os.Hostname()
	if err != nil {
		machine = host
	}
	r := servicetable.Registration{
		Instance: c.Instance, Host: machine, HostRaw: "(HOST=" + machine + ")",
		NodeLoad: node, NodeMax: nodeMax, Load: sessions, Max: c.Max,
	}
	handler := servicetable.Handler{
		Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: "tcp", Host: host, Port: port,
		Address: descriptor.Address{Protocol: "TCP", Host: host, Port: port}.String(),
		Info:    "REMOTE SERVER", Load: sessions, Max: c.Max, Flags: registration.FlagDedicated,
	}
	for i, name := range c.Service {
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked, Goodness: sessions, Delta: 1})
		handler.Services = append(handler.Services, i)
	}
	r.Handlers = []servicetable.Handler{handler}
	return r
}

// healthy asks the local listener whether it is there.
func (c *registerCommand) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return fmt.Errorf("the local listener does not answer: %w", err)
	}
	defer conn.Close()
	if _, err := tns.Ping(ctx, conn); err != nil {
		return fmt.Errorf("the local listener does not answer a ping: %w", err)
	}
	return nil
}
