// Command testdb runs a test database that real Oracle drivers can use.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"servicebroker/certs"
	"servicebroker/testenv"
)

type cli struct {
	Listen         string        `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where its local listener is; port 0 chooses one."`
	Instance       string        `required:"" help:"Instance name, which is its SID too."`
	Service        []string      `required:"" help:"Services it offers."`
	RemoteListener []string      `placeholder:"HOST:PORT" help:"Brokers to register with."`
	User           []string      `default:"scott/tiger" placeholder:"NAME/PASSWORD" help:"Who may log in."`
	Data           string        `placeholder:"FILE" help:"File of the data. Default: in memory."`
	Load           float64       `help:"Sessions reported beyond the open ones."`
	NodeLoad       uint32        `help:"Load of the machine to report."`
	Max            uint32        `default:"150" help:"Sessions it can take."`
	Retry          time.Duration `default:"3s" help:"Between attempts to reach a broker."`
	RegisterDelay  time.Duration `help:"Wait before the first registration."`
	Private        bool          `help:"Every session has its own data."`
	Control        string        `placeholder:"HOST:PORT" help:"Where the control API is."`
	Register       bool          `default:"true" negatable:"" help:"Register with the brokers."`
	Advertise      string        `placeholder:"HOST:PORT" help:"Where clients are to be sent. Default: where it listens."`
	Host           string        `help:"Machine name to register. Default: the system's."`
	Verifier       string        `enum:"12c,11g" default:"12c" help:"Kind of password verifier: 12c or 11g."`
	TLSCert        string        `placeholder:"FILE" help:"PEM certificate: its local listener speaks TLS, and registers as PROTOCOL=tcps."`
	TLSKey         string        `placeholder:"FILE" help:"PEM key of --tls-cert. Default: in the same file."`
	TLSClientCA    string        `placeholder:"FILE" help:"Clients have to have a certificate that this authority signed."`
	TLSRestarts    int           `placeholder:"N" help:"How often a client is asked for a new TLS handshake, as by a listener that hands its socket over."`
	BrokerCA       string        `placeholder:"FILE" help:"Register over TLS with brokers whose certificate this authority signed; --tls-cert is shown to them."`
	Verbose        bool          `short:"v" help:"Log more."`
}

func main() {
	var c cli
	kong.Parse(&c, kong.Name("testdb"), kong.Description("A test database that real Oracle drivers can use."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &c); err != nil {
		fmt.Fprintln(os.Stderr, "testdb:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c *cli) error {
	users := map[string]string{}
	for _, pair := range c.User {
		name, password, ok := strings.Cut(pair, "/")
		if !ok || name == "" || password == "" {
			return fmt.Errorf("--user %q is not NAME/PASSWORD: write it as in scott/tiger", name)
		}
		users[strings.ToUpper(name)] = password
	}
	if !(c.Load >= 0 && c.Load <= math.MaxUint32) {
		return fmt.Errorf("--load %v cannot be registered: use a number from 0 to %d", c.Load, uint32(math.MaxUint32))
	}
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if c.Verbose {
		options.Level = slog.LevelDebug
	}
	d := &testenv.Database{
		Address: c.Listen, Control: c.Control, Instance: c.Instance, Services: c.Service, Advertise: c.Advertise, Host: c.Host,
		RemoteListeners: c.RemoteListener, Unregistered: !c.Register, RegisterDelay: c.RegisterDelay, Retry: c.Retry,
		Users: users, Verifier11g: c.Verifier == "11g", Data: c.Data, Private: c.Private,
		NodeLoad: c.NodeLoad, Load: uint32(math.Round(c.Load)), Max: c.Max, Log: slog.New(slog.NewTextHandler(os.Stderr, options)),
	}
	if c.TLSCert != "" {
		d.TLS, d.Restarts = &certs.Source{Certificate: c.TLSCert, Key: c.TLSKey, CA: c.TLSClientCA, Log: d.Log}, c.TLSRestarts
	}
	if c.BrokerCA != "" {
		d.BrokerTLS = &certs.Outbound{Source: &certs.Source{Certificate: c.TLSCert, Key: c.TLSKey, CA: c.BrokerCA}}
	}
	if err := d.Listen(); err != nil {
		return err
	}
	fmt.Println("ready", d.Addr())
	return d.Run(ctx)
}
