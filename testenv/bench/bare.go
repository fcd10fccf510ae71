package main

import (
	"context"
	"fmt"
	"net"
)

// serveBare accepts connections and answers whatever comes first with the same packet, in the simplest way there is in Go: the
// most that can be hoped for of a program that answers connects.
func serveBare(ctx context.Context, listen string, packet []byte) error {
	l, err := net.Listen("tcp4", listen)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	fmt.Println("ready", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return nil
		}
		go func() { // ends with the connection
			defer c.Close()
			var b [2048]byte
			if _, err := c.Read(b[:]); err != nil {
				return
			}
			if _, err := c.Write(packet); err != nil {
				return
			}
			_, _ = c.Read(b[:]) // until the client is gone
		}()
	}
}
