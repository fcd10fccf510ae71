package broker

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// shortestKeepAlive is between two questions that were not answered.
const shortestKeepAlive = 10 * time.Second

// keepAlive is how a silent peer is asked whether it is still there.
func (b *Broker) keepAlive() net.KeepAliveConfig { return b.settings().config.keepAlive() }

func (c *Config) keepAlive() net.KeepAliveConfig {
	idle := c.ExpireTime
	if idle == 0 {
		idle = time.Minute
	}
	idle = max(idle, time.Second)
	return net.KeepAliveConfig{Enable: true, Idle: idle, Interval: min(idle, shortestKeepAlive), Count: 6}
}

// listenTCP listens. What is set on the socket holds for all connections that it accepts,
// so that nothing has to be set on each of them.
func listenTCP(network, address string, keepAlive net.KeepAliveConfig) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		return setKeepAlive(raw, keepAlive)
	}}
	return config.Listen(context.Background(), network, address)
}

// setKeepAlive sets on a listening socket how those are asked that it accepts from now on.
func setKeepAlive(raw syscall.RawConn, c net.KeepAliveConfig) error {
	var errs []error
	err := raw.Control(func(fd uintptr) {
		for _, option := range []struct{ level, name, value int }{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(c.Idle / time.Second)},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(c.Interval / time.Second)},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, c.Count},
		} {
			errs = append(errs, syscall.SetsockoptInt(int(fd), option.level, option.name, option.value))
		}
	})
	return errors.Join(append(errs, err)...)
}

// applyKeepAlive puts EXPIRE_TIME in force for connections that come from now on.
func (b *Broker) applyKeepAlive() {
	for _, l := range b.listeners {
		of, ok := l.(syscall.Conn)
		if !ok {
			continue
		}
		raw, err := of.SyscallConn()
		if err == nil {
			err = setKeepAlive(raw, b.keepAlive())
		}
		if err != nil && !errors.Is(err, net.ErrClosed) {
			b.log.Error("EXPIRE_TIME is not in force for clients", "address", l.Addr().String(), "cause", err.Error())
		}
	}
}
