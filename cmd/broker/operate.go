package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
)

// target says what an intent is about: whatever fits all that is given.
type target struct {
	Database string `help:"A database, by the name of its REGISTRANT rule."`
	Service  string `help:"A service, with or without domain; * stands for any text."`
	Instance string `help:"An instance, by name or as instance@host."`
	Node     string `help:"A host, as registered."`
	Network  string `placeholder:"CIDR" help:"Clients from this network."`
}

// parse returns the target in the form in which the broker keeps it.
func (t target) parse() (intent.Target, error) {
	parsed, err := intent.ParseTarget(intent.Target{Database: t.Database, Service: t.Service, Instance: t.Instance, Node: t.Node, Network: t.Network})
	if err != nil {
		return parsed, &exitError{exitUsage, fmt.Errorf("%w (--database, --service, --instance, --node, --network)", err)}
	}
	return parsed, nil
}

// source tells the broker who asks.
func source(command string) string {
	name, machine := "somebody", "this host"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		machine = h
	}
	return name + "@" + machine + " by broker " + command
}

// wish is what the commands that set an intent have in common.
type wish struct {
	target
	Reason string `help:"Why, for others to read."`
}

// limited is a wish that ends by itself.
type limited struct {
	wish
	Timeout length `placeholder:"T" help:"When it ends by itself. Default: never."`
}

// set puts an intent in force.
func (w *wish) set(ctx context.Context, global *cli, r console.IntentRequest) (console.IntentView, error) {
	var err error
	if r.Target, err = w.parse(); err != nil {
		return console.IntentView{}, err
	}
	r.Reason, r.Source = w.Reason, source(string(r.Kind))
	view, err := global.client().SetIntent(ctx, r)
	return view, unreachable(err)
}

// run sets an intent and shows it.
func (l *limited) run(ctx context.Context, t *terminal, global *cli, r console.IntentRequest) error {
	if l.Timeout > 0 {
		r.Deadline = time.Now().Add(time.Duration(l.Timeout))
	}
	view, err := l.set(ctx, global, r)
	return show(t, global, view, err, asOfNow(console.WriteIntent))
}

type weightCommand struct {
	limited
	Percent uint32 `arg:"" help:"Per cent of the capacity to use: 100 is all of it, 0 keeps connects away as long as there is anything else."`
}

func (c *weightCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	return c.run(ctx, t, global, console.IntentRequest{Kind: intent.Weight, Value: &c.Percent})
}

type holdCommand struct{ limited }

func (c *holdCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	return c.run(ctx, t, global, console.IntentRequest{Kind: intent.Hold})
}

type maintenanceCommand struct{ limited }

func (c *maintenanceCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	return c.run(ctx, t, global, console.IntentRequest{Kind: intent.Maintenance})
}

type intentsCommand struct{}

func (c *intentsCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Intents(ctx)
	return show(t, global, list, err, asOfNow(console.WriteIntents))
}

// undoing is what the commands that undo an intent have in common.
type undoing struct {
	target
	ID string `name:"id" help:"The intent of this id, in place of a target."`
}

type resumeCommand struct{ undoing }

func (c *resumeCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	return c.undo(ctx, t, global, intent.Drain, intent.Maintenance)
}

type releaseCommand struct{ undoing }

func (c *releaseCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	return c.undo(ctx, t, global, intent.Hold)
}

// undo ends the intent that is named, or those of some kinds with exactly the target.
func (u *undoing) undo(ctx context.Context, t *terminal, global *cli, kinds ...intent.Kind) error {
	if u.ID != "" {
		if u.target != (target{}) {
			return &exitError{exitUsage, errors.New("give either --id or a target")}
		}
		view, err := global.client().EndIntent(ctx, u.ID)
		return show(t, global, view, err, asOfNow(console.WriteTakenBack))
	}
	wanted, err := u.parse()
	if err != nil {
		return err
	}
	list, err := global.client().Intents(ctx)
	if err != nil {
		return unreachable(err)
	}
	ended := console.IntentList{Intents: []console.IntentView{}}
	var others []string
	for _, one := range list.Intents {
		switch {
		case !isKind(one.Kind, kinds):
		case !strings.EqualFold(one.Target.String(), wanted.String()):
			others = append(others, fmt.Sprintf("--id %s for %s of %s", one.ID, one.Kind, one.Target))
		default:
			view, err := global.client().EndIntent(ctx, one.ID)
			if err != nil {
				return unreachable(err)
			}
			ended.Intents = append(ended.Intents, view)
		}
	}
	if len(ended.Intents) == 0 {
		return nothingToUndo(wanted, kinds[0], others)
	}
	return show(t, global, ended, nil, asOfNow(console.WriteAllTakenBack))
}

func isKind(k intent.Kind, kinds []intent.Kind) bool {
	for _, one := range kinds {
		if k == one {
			return true
		}
	}
	return false
}

// nothingToUndo names what could be undone instead.
func nothingToUndo(wanted intent.Target, kind intent.Kind, others []string) error {
	if len(others) == 0 {
		return fmt.Errorf("no %s of %s is in force; broker intents lists what is", kind, wanted)
	}
	return fmt.Errorf("no %s of exactly %s is in force; undo another one by %s", kind, wanted, strings.Join(others, ", or "))
}

type quarantineCommand struct {
	List    quarantineListCommand    `cmd:"" default:"1" help:"Show what waits for a decision."`
	Approve quarantineApproveCommand `cmd:"" help:"Let a registration be used."`
	Reject  quarantineRejectCommand  `cmd:"" help:"Do not let it be used, and do not ask again."`
}

type quarantineListCommand struct{}

func (c *quarantineListCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Quarantine(ctx)
	return show(t, global, list, err, asOfNow(console.WriteQuarantine))
}

type limitsCommand struct{}

func (c *limitsCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Limits(ctx)
	return show(t, global, list, err, console.WriteLimits)
}

type peersCommand struct{}

func (c *peersCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Peers(ctx)
	return show(t, global, list, err, asOfNow(console.WritePeers))
}

type mirrorsCommand struct{}

func (c *mirrorsCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Mirrors(ctx)
	return show(t, global, list, err, asOfNow(console.WriteMirrors))
}

type certificatesCommand struct{}

func (c *certificatesCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Certificates(ctx)
	return show(t, global, list, err, asOfNow(console.WriteCertificates))
}

// quarantineDecision is what is said with a decision.
type quarantineDecision struct {
	ID     string `arg:"" help:"As broker quarantine shows it."`
	Reason string `help:"Why, for others to read."`
}

func (d *quarantineDecision) decide(ctx context.Context, t *terminal, global *cli, kind intent.Kind) error {
	view, err := global.client().Decide(ctx, kind, d.ID, console.Decision{Reason: d.Reason, Source: source("quarantine")})
	return show(t, global, view, err, asOfNow(console.WriteIntent))
}

type quarantineApproveCommand struct{ quarantineDecision }

func (c *quarantineApproveCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	return c.decide(ctx, t, global, intent.Approve)
}

type quarantineRejectCommand struct{ quarantineDecision }

func (c *quarantineRejectCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	return c.decide(ctx, t, global, intent.Reject)
}

type closeCommand struct {
	Session  []string `arg:"" optional:"" help:"Ids of sessions, as broker sessions shows them."`
	Service  string   `help:"Sessions of this service."`
	Instance string   `help:"Sessions on this instance, by name or as instance@host."`
	Client   string   `placeholder:"HOST[:PORT]" help:"Sessions of this client address."`
	Upstream string   `placeholder:"HOST:PORT" help:"The session that an instance sees as coming from this address of the broker."`
	All      bool     `help:"Every session."`
}

// Run ends sessions by id, or those that fit all filters.
func (c *closeCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	filter := console.SessionFilter{Service: c.Service, Instance: c.Instance, Client: c.Client, Upstream: c.Upstream}
	ways := 0
	for _, is := range []bool{len(c.Session) > 0, filter != console.SessionFilter{}, c.All} {
		if is {
			ways++
		}
	}
	if ways != 1 {
		return &exitError{exitUsage, errors.New("say which sessions: their ids, or --service, --instance, --client, --upstream, or --all")}
	}
	if len(c.Session) == 0 {
		closed, err := global.client().CloseSessions(ctx, filter)
		return show(t, global, closed, err, console.WriteClosed)
	}
	closed := console.Closed{Closed: []string{}}
	var failed error
	for _, id := range c.Session {
		one, err := global.client().CloseSession(ctx, id)
		closed.Closed = append(closed.Closed, one.Closed...)
		failed = errors.Join(failed, err)
	}
	if err := show(t, global, closed, nil, console.WriteClosed); err != nil {
		return err
	}
	return unreachable(failed)
}

type reloadCommand struct{}

func (c *reloadCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	result, err := global.client().Reload(ctx)
	return show(t, global, result, err, console.WriteReload)
}
