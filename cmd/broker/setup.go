package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"servicebroker/console"
	"servicebroker/descriptor"
)

type setupCommand struct {
	Database setupDatabaseCommand `cmd:"" help:"What to type so that a database registers with the broker, and how to undo it."`
	Client   setupClientCommand   `cmd:"" help:"What to give to clients of a service."`
}

// brokerAddress is how others reach the broker.
type brokerAddress struct {
	Host string `help:"Name or address by which others reach the broker. Default: that of its host."`
	Port int    `help:"Its port. Default: the first on which it listens."`
}

// at completes the address from what the broker tells.
func (a brokerAddress) at(ctx context.Context, global *cli) (at descriptor.Address, err error) {
	host, port := a.Host, a.Port
	if host != "" && port != 0 {
		return descriptor.Address{Protocol: "tcp", Host: host, Port: port}, nil
	}
	status, err := global.client().Status(ctx)
	if err != nil {
		return at, unreachable(fmt.Errorf("%w; or give --host and --port", err))
	}
	if len(status.Listening) == 0 {
		return at, errors.New("the broker does not listen: give --host and --port")
	}
	first := status.Listening[0]
	for _, one := range status.Listening {
		if one.Protocol == "tcp" {
			first = one
			break
		}
	}
	if port == 0 {
		port = first.Port
	}
	if host == "" {
		host = status.Machine
		if a, err := netip.ParseAddr(first.Host); err != nil || !a.IsUnspecified() {
			host = first.Host
		}
	}
	for _, one := range status.Listening {
		if one.Port == port {
			first = one
			break
		}
	}
	return descriptor.Address{Protocol: first.Protocol, Host: host, Port: port}, nil
}

type setupDatabaseCommand struct {
	brokerAddress
	RemoteListener string `name:"remote-listener" placeholder:"VALUE" help:"What REMOTE_LISTENER of the database is now (SHOW PARAMETER remote_listener): it is kept, and restored by the undo."`
}

// Run prints the steps in the order in which they work: a name has to resolve and the broker has to take the
// registration before the database is told.
func (c *setupDatabaseCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	address, err := c.at(ctx, global)
	if err != nil {
		return err
	}
	host, at, ping := address.Host, address.HostPort(), address.HostPort()
	if address.Protocol == "tcps" {
		at, ping = address.String(), "tcps://"+ping
	}
	found, lookup := net.DefaultResolver.LookupHost(ctx, host)
	here := strings.Join(found, ", ")
	if lookup != nil {
		here = "nothing: " + lookup.Error()
	}
	value, undo := at, "ALTER SYSTEM RESET REMOTE_LISTENER SCOPE=BOTH SID='*';"
	if c.RemoteListener != "" {
		value = c.RemoteListener + "," + at
		undo = fmt.Sprintf("ALTER SYSTEM SET REMOTE_LISTENER='%s' SCOPE=BOTH SID='*';", quoted(c.RemoteListener))
	}
	fmt.Fprintf(t.out, `1. The name has to resolve on the database's host, else step 3 fails with ORA-00132 or ORA-00141.
   From here %[1]s means %[2]s. On the database's host:

     getent hosts %[1]s
     broker ping %[7]s

2. The broker has to take the registration. In PARAMETER_LIST of its cman.ora, with the database's address or network, then broker reload:

     (REGISTRATION_INVITED_NODES=DATABASE_HOST)

3. On the database, as SYSDBA. What REMOTE_LISTENER has already stays in the list: SHOW PARAMETER remote_listener tells%[4]s.

     ALTER SYSTEM SET REMOTE_LISTENER='%[5]s' SCOPE=BOTH SID='*';
     ALTER SYSTEM REGISTER;

   The broker sends clients to the addresses of LOCAL_LISTENER: they have to resolve and be reachable from the broker.

4. Within a minute the services are there:

     broker services

5. Undo, on the database:

     %[6]s
     ALTER SYSTEM REGISTER;
`, host, here, at, givenText(c.RemoteListener), quoted(value), undo, ping)
	if lookup != nil {
		return fmt.Errorf("%s does not resolve from here: make the name first, or give --host another", host)
	}
	return nil
}

func givenText(value string) string {
	if value == "" {
		return "; give it here with --remote-listener"
	}
	return ""
}

// quoted makes a text fit for a literal of SQL.
func quoted(text string) string { return strings.ReplaceAll(text, "'", "''") }

type setupClientCommand struct {
	brokerAddress
	Service string   `arg:"" help:"The service, as the broker shows it."`
	Route   []string `placeholder:"HOST:PORT" help:"Print the form by which a client names the way itself (SOURCE_ROUTE): through the broker to this address, or through several in turn."`
}

// Run prints the forms in which drivers take a connect identifier. That nobody offers the service now is told last.
func (c *setupClientCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	address, err := c.at(ctx, global)
	if err != nil {
		return err
	}
	if len(c.Route) > 0 {
		return c.writeRoute(t.out, address)
	}
	name := c.Service
	list, err := global.client().Service(ctx, c.Service)
	if err == nil && len(list.Services) == 1 {
		name = list.Services[0].Name
	}
	if !errors.Is(err, console.ErrUnreachable) || c.Host == "" || c.Port == 0 {
		err = unreachable(err)
	} else {
		err = nil // what to type is known without the broker
	}
	if exit, is := errors.AsType[*exitError](err); is {
		return exit
	}
	if address.Protocol != "tcps" {
		if printed := writeClient(t.out, name, address); printed != nil {
			return printed
		}
		address.Port = c.tcps(ctx, global)
	}
	if address.Port != 0 {
		if printed := writeSecureClient(t.out, name, address); printed != nil {
			return printed
		}
	}
	return err
}

// tcps is the port of the first address with TLS; 0 if there is none, or nobody tells.
func (c *setupClientCommand) tcps(ctx context.Context, global *cli) int {
	status, err := global.client().Status(ctx)
	if err != nil {
		return 0
	}
	for _, one := range status.Listening {
		if one.Protocol == "tcps" {
			return one.Port
		}
	}
	return 0
}

func writeSecureClient(w io.Writer, service string, at descriptor.Address) error {
	alias, _, _ := strings.Cut(service, ".")
	_, err := fmt.Fprintf(w, `
Over TLS; clients have to trust who signed the broker's certificate, and HOST has to be a name in it:

  tcps://%[1]s/%[2]s

  %[3]s_TLS =
    (DESCRIPTION =
      (CONNECT_TIMEOUT = 60)(TRANSPORT_CONNECT_TIMEOUT = 3)(RETRY_COUNT = 3)(RETRY_DELAY = 1)
      (ADDRESS_LIST = (LOAD_BALANCE = on)(FAILOVER = on)
        (ADDRESS = (PROTOCOL = TCPS)(HOST = %[4]s)(PORT = %[5]d)))
      (CONNECT_DATA = (SERVICE_NAME = %[2]s))
      (SECURITY = (SSL_SERVER_DN_MATCH = yes)))

Try it:

  broker ping tcps://%[1]s/%[2]s
`, at.HostPort(), service, strings.ToUpper(alias), at.Host, at.Port)
	return err
}

func writeClient(w io.Writer, service string, at descriptor.Address) error {
	alias, _, _ := strings.Cut(service, ".")
	easy := at.HostPort() + "/" + service
	_, err := fmt.Fprintf(w, `Easy Connect (sqlplus, python-oracledb, node-oracledb, ODP.NET, go-ora):

  %[1]s

JDBC:

  jdbc:oracle:thin:@//%[1]s

tnsnames.ora, with several brokers an ADDRESS each:

  %[2]s =
    (DESCRIPTION =
      (CONNECT_TIMEOUT = 60)(TRANSPORT_CONNECT_TIMEOUT = 3)(RETRY_COUNT = 3)(RETRY_DELAY = 1)
      (ADDRESS_LIST = (LOAD_BALANCE = on)(FAILOVER = on)
        (ADDRESS = (PROTOCOL = TCP)(HOST = %[3]s)(PORT = %[4]d)))
      (CONNECT_DATA = (SERVICE_NAME = %[5]s)))

Try it:

  broker ping %[1]s
  broker explain %[5]s
`, easy, strings.ToUpper(alias), at.Host, at.Port, service)
	return err
}
