package servicetable

import (
	"context"
	"strings"
)

type networkKey struct{}

// OnNetwork returns a context for what comes in on an address that belongs to a network, as LISTENER_NETWORKS of databases
// names them (features.md 1.1); "" for an address that belongs to none.
func OnNetwork(ctx context.Context, name string) context.Context {
	if name == "" {
		return ctx
	}
	return context.WithValue(ctx, networkKey{}, name)
}

// NetworkOf returns the network of OnNetwork, "" if there is none.
func NetworkOf(ctx context.Context) string {
	name, _ := ctx.Value(networkKey{}).(string)
	return name
}

// IsFor reports whether what r offers is for clients that came in on a network: what was registered on an address that
// belongs to one is for those of the same, all else for everyone.
func (r *Registration) IsFor(network string) bool {
	return r.Network == "" || strings.EqualFold(r.Network, network)
}
