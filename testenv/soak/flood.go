package main

import (
	"context"
	"net"
	"sync"
	"time"

	"servicebroker/tns"
)

// flooder is what one client of a flood does until its connection ends.
type flooder func(c net.Conn)

// Floods, how many come at a time, and how fast those that come again do.
const (
	floodClients = 150
	floodRest    = 20 * time.Millisecond
)

// silent says nothing.
func silent(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }

var strangersConnect = tns.NewConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=nobody_has_this)(CID=(PROGRAM=flood)(HOST=f)(USER=f))))")).AppendTo(nil, false)

// stranger asks for what there is not.
func stranger(c net.Conn) {
	if _, err := c.Write(strangersConnect); err == nil {
		_, _ = tns.NewConn(c).ReadReply()
	}
}

// halves sends half a CONNECT.
func halves(c net.Conn) {
	if _, err := c.Write(strangersConnect[:len(strangersConnect)/2]); err == nil {
		silent(c)
	}
}

// flood is a flood of both brokers, from an address that nobody else has.
func flood(do flooder) func(context.Context, *world, *drawn) *undertaking {
	return func(_ context.Context, w *world, _ *drawn) *undertaking {
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		return &undertaking{strike: func(context.Context) error {
			for i := range floodClients {
				s := w.sites[i%len(w.sites)]
				all.Go(func() {
					for ctx.Err() == nil {
						floodOnce(ctx, s.At("127.0.0.1"), do)
						pause(ctx, floodRest)
					}
				})
			}
			return nil
		}, heal: func(context.Context) error { cancel(); all.Wait(); return nil }}
	}
}

func floodOnce(ctx context.Context, address string, do flooder) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, KeepAlive: -1}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetLinger(0) // leaves no port waiting
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	do(c)
}
