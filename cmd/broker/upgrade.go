package main

import (
	"context"

	"servicebroker/console"
)

type upgradeCommand struct{}

// Run returns when the new process serves and has what can be moved.
func (c *upgradeCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	u, err := global.client().Upgrade(ctx)
	return show(t, global, u, err, asOfNow(console.WriteUpgraded))
}

type generationsCommand struct{}

// Run shows the processes of the broker.
func (c *generationsCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	list, err := global.client().Generations(ctx)
	return show(t, global, list, err, asOfNow(console.WriteGenerations))
}
