package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"servicebroker/console"
	"servicebroker/journal"
)

type explainCommand struct {
	Descriptor string `arg:"" optional:"" help:"A connect descriptor, or HOST:PORT/SERVICE, that a client would connect with."`
	From       string `placeholder:"IP" help:"Address of that client. Default: the broker's own host."`
	User       string `help:"Operating system user of that client."`
	Program    string `help:"Program of that client."`

	Ref          string `help:"Of a connect that was made: the REF that its refusal or session shows."`
	ConnectionID string `name:"connection-id" help:"Of connects that were made: the CONNECTION_ID that the driver shows."`
	Client       string `placeholder:"ADDRESS[:PORT]" help:"Of connects that were made: the client's address."`
	Outcome      string `help:"Of connects that were made: what came of them: relay, redirect, hold, refuse, drop, gone."`
	Recent       int    `placeholder:"N" help:"The newest N connects that were made."`
}

// Run asks for one explanation, or for a list of those that are kept.
func (c *explainCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	made := c.ConnectionID != "" || c.Client != "" || c.Outcome != "" || c.Recent > 0
	questions := 0
	for _, is := range []bool{c.Descriptor != "", c.Ref != "", made} {
		if is {
			questions++
		}
	}
	if questions != 1 {
		return &exitError{exitUsage, errors.New("name one connect: a DESCRIPTOR, or --ref, or --connection-id, --client, --outcome or --recent")}
	}
	switch {
	case made:
		return c.find(ctx, t, global)
	case c.Ref != "":
		explanation, err := global.client().Explanation(ctx, c.Ref)
		return show(t, global, explanation, err, console.WriteExplanation)
	}
	request := console.ExplainRequest{Descriptor: c.Descriptor, User: c.User, Program: c.Program}
	if c.From != "" {
		from, err := netip.ParseAddr(c.From)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("--from %q is no IP address", c.From)}
		}
		request.From = from
	}
	explanation, err := global.client().Explain(ctx, request)
	return show(t, global, explanation, err, console.WriteExplanation)
}

// find shows one explanation in full, or several as a table.
func (c *explainCommand) find(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Explanations(ctx, journal.FindQuery{
		ConnectionID: c.ConnectionID, Client: c.Client, Outcome: journal.Outcome(c.Outcome), Limit: c.Recent,
	})
	if err == nil && len(list.Explanations) == 0 {
		return errors.New("no connect like that is kept: only the newest are; broker explain --recent 20 lists some")
	}
	if err == nil && len(list.Explanations) == 1 && global.Output == "text" {
		return console.WriteExplanation(t.out, list.Explanations[0])
	}
	return show(t, global, list, err, asOfNow(console.WriteExplanations))
}
