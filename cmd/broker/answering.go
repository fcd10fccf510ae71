package main

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"servicebroker/console"
)

// answering is a broker as the layouts of other tools need to know it.
type answering struct {
	status  console.Status
	gateway console.Gateway
	layout  compat
}

// learn asks a broker what it is.
func learn(ctx context.Context, client *console.Client) (*answering, error) {
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	b := &answering{status: status}
	if b.gateway.Stats, err = client.Stats(ctx); err != nil {
		return nil, err
	}
	list, err := client.Intents(ctx)
	if err != nil && !notOffered(err) {
		return nil, err
	}
	b.gateway.Suspended = slices.ContainsFunc(list.Intents, func(v console.IntentView) bool { return console.Suspends(v.Intent) })
	return b, nil
}

// notOffered tells that a broker does not have what was asked for.
func notOffered(err error) bool {
	problem, is := errors.AsType[*console.APIError](err)
	return is && problem.Status == http.StatusNotFound
}
