package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"servicebroker/certs"
	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

type registerCommand struct {
	Broker   []string      `placeholder:"HOST:PORT" help:"Brokers to register with."`
	Instance string        `required:"" help:"Instance name."`
	Service  []string      `help:"Services that the instance offers."`
	Address  string        `required:"" placeholder:"HOST:PORT" help:"Address of the database's own listener, where clients are to be sent; tcps://HOST:PORT if that speaks TLS."`
	Interval time.Duration `default:"10s" help:"How often load is reported; shorter balances better and costs a message each."`
	Max      uint32        `placeholder:"N" help:"Sessions the instance can take (PROCESSES). Default: 150; with --load-only, as it registered."`
	Timeout  time.Duration `default:"3s" help:"How long the local listener may take to answer before the instance is withdrawn."`
	CA       string        `name:"broker-ca" placeholder:"FILE" help:"Register over TLS: PEM file of who has to have signed the brokers' certificates."`
	Cert     string        `name:"broker-certificate" placeholder:"FILE" help:"Register over TLS: PEM file of a certificate and key to show to the brokers, and to a listener that asks for one."`
	LoadOnly bool          `name:"load-only" help:"The database registers by itself: only report its load, to the broker that --api names, whose admin socket it takes."`
}

// defaultMax is a database's usual PROCESSES.
const defaultMax = 150

// Run keeps the instance registered until it is told to stop. While the local
// listener does not answer, the instance is withdrawn.
func (c *registerCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	host, port, err := c.check()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(t.out, nil))
	if c.LoadOnly {
		feed := loadFeed{client: global.client(), log: log, healthy: c.healthy, report: func() console.LoadReport { return c.loadReport(port) }}
		return unreachable(feed.run(ctx, c.Interval))
	}
	agent := &registration.Agent{
		Brokers:  c.Broker,
		Describe: func() servicetable.Registration { return c.describe(host, port) },
		Interval: c.Interval,
		Healthy:  func(ctx context.Context) error { return c.healthy(ctx) },
		Log:      log,
	}
	if agent.Dial, err = c.dialler(); err != nil {
		return &exitError{exitUsage, err}
	}
	log.Info("registering", "instance", c.Instance, "services", strings.Join(c.Service, ","), "brokers", strings.Join(c.Broker, ","))
	if err := agent.Run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// dialler connects to brokers over TLS, if that is asked for; nil otherwise.
func (c *registerCommand) dialler() (func(context.Context, string) (net.Conn, error), error) {
	if c.CA == "" && c.Cert == "" {
		return nil, nil
	}
	trust := &certs.Outbound{Source: &certs.Source{CA: c.CA, Certificate: c.Cert}}
	if err := trust.Source.Load(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		return dialTLS(ctx, address, trust)
	}, nil
}

func dialTLS(ctx context.Context, address string, trust *certs.Outbound) (net.Conn, error) {
	conn, err := certs.DialTLS(ctx, new(net.Dialer).DialContext, address, trust)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// local is the protocol of the database's own listener, and where that is.
func (c *registerCommand) local() (protocol, hostPort string) {
	if at, secure := strings.CutPrefix(c.Address, "tcps://"); secure {
		return "tcps", at
	}
	return "tcp", c.Address
}

// check returns where the database's own listener is, or what is wrong with the
// command line.
func (c *registerCommand) check() (host string, port int, err error) {
	_, hostPort := c.local()
	host, portText, err := net.SplitHostPort(hostPort)
	port, perr := strconv.Atoi(portText)
	switch {
	case err != nil || perr != nil || host == "" || port < 1 || port > 65535:
		return "", 0, fmt.Errorf("--address %q is not HOST:PORT: name the database's listener, for example db1:1521", c.Address)
	case c.Interval <= 0:
		return "", 0, fmt.Errorf("--interval %v is no time to report at: use for example 10s", c.Interval)
	case c.LoadOnly && len(c.Broker) > 0:
		return "", 0, errors.New("--broker is for registering: with --load-only, name the broker's API with --api")
	case c.LoadOnly:
		return host, port, nil
	case len(c.Broker) == 0:
		return "", 0, errors.New("--broker is missing: name the brokers to register with, HOST:PORT")
	case len(c.Service) == 0:
		return "", 0, errors.New("--service is missing: name what the instance offers")
	}
	for _, b := range c.Broker {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return "", 0, fmt.Errorf("--broker %q is not HOST:PORT", b)
		}
	}
	return host, port, nil
}

// describe is the whole registration with load as of now.
func (c *registerCommand) describe(host string, port int) servicetable.Registration {
	node, nodeMax := nodeLoad()
	sessions := establishedOn(port)
	most := c.Max
	if most == 0 {
		most = defaultMax
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = host
	}
	r := servicetable.Registration{
		Instance: c.Instance, Host: machine, HostRaw: "(HOST=" + machine + ")",
		NodeLoad: node, NodeMax: nodeMax, Load: sessions, Max: most,
	}
	protocol, _ := c.local()
	handler := servicetable.Handler{
		Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: protocol, Host: host, Port: port,
		Address: descriptor.Address{Protocol: strings.ToUpper(protocol), Host: host, Port: port}.String(),
		Info:    "REMOTE SERVER", Load: sessions, Max: most, Flags: registration.FlagDedicated,
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
	conn, err := c.dialLocal(ctx)
	if err != nil {
		return fmt.Errorf("the local listener does not answer: %w", err)
	}
	defer conn.Close()
	if _, err := tns.Ping(ctx, conn); err != nil {
		return fmt.Errorf("the local listener does not answer a ping: %w", err)
	}
	return nil
}

// dialLocal connects to the local listener. Over TLS it believes any certificate, since it
// only looks whether somebody is there.
func (c *registerCommand) dialLocal(ctx context.Context) (net.Conn, error) {
	protocol, hostPort := c.local()
	if protocol == "tcps" {
		own := &certs.Source{Certificate: c.Cert}
		if err := own.Load(); err != nil {
			return nil, err
		}
		return dialTLS(ctx, hostPort, &certs.Outbound{Source: own, Unverified: true})
	}
	return new(net.Dialer).DialContext(ctx, "tcp", hostPort)
}
