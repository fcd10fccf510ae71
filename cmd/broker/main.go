// Command broker runs a service broker for Oracle Net and talks to a running one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
)

// Exit codes, the same for every subcommand.
const (
	exitDone        = 0
	exitNo          = 1 // the answer is no, or some failed
	exitUsage       = 2
	exitUnreachable = 3 // no broker there
)

// cli is the command line.
type cli struct {
	API         string `name:"api" env:"BROKER_API" placeholder:"URL|unix:PATH" help:"Where the broker's API is. Default: the admin socket of the default instance, that of $TNS_ADMIN/cman.ora if there is one, else its console, else http://127.0.0.1:8521."`
	Credentials string `name:"credentials" env:"BROKER_API_CREDENTIALS" placeholder:"FILE" help:"File with NAME:PASSWORD or a token, for an https API. Also BROKER_API_USER with BROKER_API_PASSWORD_FILE, or BROKER_API_TOKEN_FILE."`
	CA          string `name:"ca" placeholder:"FILE" help:"PEM file of whoever signed the certificate of an https API, or of what is pinged. For the API also BROKER_API_CA; default: whom the system trusts."`
	Output      string `enum:"text,json" default:"text" help:"text or json."`
	Compat      compat `xor:"form" placeholder:"TOOL" help:"In the layout of lsnrctl or cmctl, for scripts: --compat=cmctl or --compat=lsnrctl; alone: that of the tool whose command it is."`

	Serve    serveCommand    `cmd:"" help:"Run a broker in the foreground."`
	Check    checkCommand    `cmd:"" help:"Read a configuration, and say what is wrong with it and what it would change."`
	Convert  convertCommand  `cmd:"" help:"Print the cman.ora for a listener.ora and a tnsnames.ora."`
	Services servicesCommand `cmd:"" help:"Show services, instances and handlers."`
	Status   statusCommand   `cmd:"" help:"Show a summary of the running broker."`
	Sessions sessionsCommand `cmd:"" help:"Show relayed sessions; with --upstream, who the client of one is."`
	Explain  explainCommand  `cmd:"" help:"Tell why a connect went where it went, or where one would go."`
	Events   eventsCommand   `cmd:"" help:"Show what happened: registrations, changes, moves, drains, ejections, holds."`
	Held     heldCommand     `cmd:"" help:"Show connects that wait for their service."`
	Stats    statsCommand    `cmd:"" help:"Show how much was carried since the broker was started."`

	Drain        drainCommand        `cmd:"" help:"Send no new connects there, and let sessions end."`
	Resume       resumeCommand       `cmd:"" help:"Undo a drain or maintenance."`
	Weight       weightCommand       `cmd:"" help:"Use so many per cent of the capacity."`
	Hold         holdCommand         `cmd:"" help:"Let new connects wait until released."`
	Release      releaseCommand      `cmd:"" help:"Undo a hold."`
	Maintenance  maintenanceCommand  `cmd:"" help:"Send no new connects there, and no probes."`
	Intents      intentsCommand      `cmd:"" help:"Show what operators want and how far it is."`
	Limits       limitsCommand       `cmd:"" help:"Show the limits in force, what each lets in and what it refused."`
	Peers        peersCommand        `cmd:"" help:"Show the other brokers with which the same databases register: who is alive, whose table differs, and why."`
	Mirrors      mirrorsCommand      `cmd:"" help:"Show the copies of the table in DNS and Consul, how far each is, and what is wrong with it."`
	Certificates certificatesCommand `cmd:"" help:"Show the TLS certificates in use, and until when."`
	Quarantine   quarantineCommand   `cmd:"" help:"Show, approve or reject registrations that are not trusted."`
	Close        closeCommand        `cmd:"" help:"End sessions."`
	Reload       reloadCommand       `cmd:"" help:"Let the broker read its configuration again."`
	Upgrade      upgradeCommand      `cmd:"" help:"Let the broker hand over to a new process of its program, which nobody notices."`
	Generations  generationsCommand  `cmd:"" help:"Show the processes of the broker that follow each other by upgrades."`
	Shutdown     shutdownCommand     `cmd:"" help:"Let the broker take no new connects and end when sessions are over."`
	Trace        traceCommand        `cmd:"" help:"Write the packets of some clients to a file, without secrets; alone: list such traces."`
	Parameters   parametersCommand   `cmd:"" help:"Show the settings in force."`
	Rules        rulesCommand        `cmd:"" help:"Show the rules in force."`

	Ping     pingCommand     `cmd:"" help:"Ask a listener, or a service, whether it answers."`
	Register registerCommand `cmd:"" help:"Register a local database with brokers and keep it registered."`
	Version  versionCommand  `cmd:"" help:"Show the version of this program and of the running broker."`

	Credential credentialsCommand `cmd:"" name:"credentials" help:"Make credentials for the API at REST_ADDRESS."`
	Setup      setupCommand       `cmd:"" help:"Print what to type on a database, or what to give to clients."`
	Cmctl      cmctlCommand       `cmd:"" passthrough:"" help:"Oracle Connection Manager's control utility, as far as it applies; also when this program is called cmctl."`
	Lsnrctl    lsnrctlCommand     `cmd:"" passthrough:"" help:"The listener's control utility, as far as it applies; also when this program is called lsnrctl."`
	Tnsping    tnspingCommand     `cmd:"" passthrough:"" help:"Ask a listener whether it is there; also when this program is called tnsping."`
	Completion completionCommand  `cmd:"" help:"Print what lets a shell complete command lines."`
}

// terminal is where a command speaks with people.
type terminal struct {
	in       io.Reader // nil: nothing can be read
	out, err io.Writer
}

// exitError carries an exit code along with what to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// saidError is a failure that was told already, in the words and at the place of the tool that failed.
type saidError struct{}

func (saidError) Error() string { return "it has been said what failed" }

func main() {
	os.Exit(run(context.Background(), called(os.Args), &terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// called returns the command line without the program, but for a tool by whose name the program was called.
func called(arguments []string) []string {
	if len(arguments) == 0 {
		return nil
	}
	switch name := filepath.Base(arguments[0]); name {
	case "cmctl", "lsnrctl", "tnsping":
		return append([]string{name}, arguments[1:]...)
	}
	return arguments[1:]
}

// run parses and executes one command line and returns its exit code.
func run(ctx context.Context, arguments []string, t *terminal) (code int) {
	var c cli
	exited := -1
	parser, err := newParser(&c,
		kong.Writers(t.out, t.err),
		kong.Exit(func(n int) { exited = n }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t, &c),
	)
	if err != nil {
		fmt.Fprintln(t.err, "broker:", err)
		return exitUsage
	}
	command, err := parser.Parse(arguments)
	if exited >= 0 { // --help has been printed
		return exited
	}
	if err == nil && c.Compat != "" && c.Output == "json" {
		err = errors.New("--compat is for text: leave --output json out")
	}
	if err != nil {
		fmt.Fprintf(t.err, "broker: %v: see broker --help\n", err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		var said saidError
		if !errors.As(err, &said) {
			fmt.Fprintln(t.err, "broker:", err)
		}
		var exit *exitError
		if errors.As(err, &exit) {
			return exit.code
		}
		return exitNo
	}
	return exitDone
}

// newParser reads command lines into c.
func newParser(c *cli, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append([]kong.Option{
		kong.Name("broker"),
		kong.Description("A service broker for Oracle Net: databases register with it, clients connect to it by service name."),
	}, options...)...)
}
