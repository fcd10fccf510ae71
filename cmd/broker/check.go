package main

import (
	"context"
	"fmt"
	"strings"

	"servicebroker/broker"
)

type checkCommand struct {
	File     string `arg:"" help:"cman.ora to check."`
	Instance string `arg:"" optional:"" help:"Which instance of the file. Default: CMAN_<hostname>, else the only one."`
	Diff     bool   `help:"Tell what it would change of the running broker, and what of that needs an upgrade or a restart."`
}

// checkResult is the answer in JSON.
type checkResult struct {
	File       string             `json:"file"`
	Instance   string             `json:"instance"` // "" if none could be read
	OK         bool               `json:"ok"`       // the broker would start with it
	Messages   broker.Messages    `json:"messages"`
	Difference *broker.Difference `json:"difference,omitempty"`
}

// Run reads a configuration without using it. The answer is no if the broker would not start
// with it.
func (c *checkCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	config, messages := broker.Check(c.File, c.Instance)
	result := checkResult{File: c.File, OK: config != nil, Messages: messages}
	if result.Messages == nil {
		result.Messages = broker.Messages{}
	}
	if config != nil {
		result.Instance = config.Name
	}
	var unreached error
	if config != nil && c.Diff {
		var d broker.Difference
		if d, unreached = c.difference(ctx, global, config); unreached == nil {
			result.Difference = &d
		}
	}
	if global.Output == "json" {
		if err := writeJSON(t.out, result); err != nil {
			return err
		}
	} else {
		result.print(t)
	}
	if config == nil {
		return &exitError{exitNo, fmt.Errorf("the broker would not start with %s: %s", c.File, counted(messages))}
	}
	return unreachable(unreached)
}

// difference asks the running broker what it runs by.
func (c *checkCommand) difference(ctx context.Context, global *cli, config *broker.Config) (broker.Difference, error) {
	client := global.client()
	parameters, err := client.Parameters(ctx)
	if err != nil {
		return broker.Difference{}, err
	}
	rules, err := client.Rules(ctx)
	if err != nil {
		return broker.Difference{}, err
	}
	return config.DifferenceTo(parameters, rules), nil
}

func (r *checkResult) print(t *terminal) {
	for _, m := range r.Messages {
		fmt.Fprintln(t.out, m)
	}
	if r.OK {
		fmt.Fprintf(t.out, "%s: instance %s would start: %s\n", r.File, r.Instance, counted(r.Messages))
	}
	if r.Difference != nil {
		fmt.Fprintln(t.out, strings.Join(r.Difference.Lines(), "\n"))
	}
}

// counted says how much there is to say.
func counted(messages broker.Messages) string {
	count := map[broker.Severity]int{}
	for _, m := range messages {
		count[m.Severity]++
	}
	var parts []string
	for _, s := range []broker.Severity{broker.SeverityError, broker.SeverityWarning, broker.SeverityNotice} {
		switch count[s] {
		case 0:
		case 1:
			parts = append(parts, "1 "+string(s))
		default:
			parts = append(parts, fmt.Sprintf("%d %ss", count[s], s))
		}
	}
	if len(parts) == 0 {
		return "nothing to say"
	}
	return strings.Join(parts, ", ")
}
