package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// serveBare accepts connections and answers whatever comes first with the same packet, in the simplest way there is in Go: the
// most that can be hoped for of a program that answers connects.
func serveBare(ctx context.Context, listen string, packet []byte) error {
	return serveEach(ctx, listen, func(c net.Conn) {
		var b [2048]byte
		if _, err := c.Read(b[:]); err != nil {
			return
		}
		if _, err := c.Write(packet); err != nil {
			return
		}
		_, _ = c.Read(b[:]) // until the client is gone
	})
}

// servePlain passes connections on to an address, in the simplest way there is in Go, which lets the kernel splice.
func servePlain(ctx context.Context, listen, to string) error {
	return serveEach(ctx, listen, func(client net.Conn) {
		server, err := net.Dial("tcp4", to)
		if err != nil {
			return
		}
		var back sync.WaitGroup
		back.Go(func() {
			_, _ = io.Copy(client, server)
			client.Close()
		})
		_, _ = io.Copy(server, client)
		server.Close()
		back.Wait()
	})
}

// serveEach accepts connections until ctx ends, each for a goroutine that ends with it.
func serveEach(ctx context.Context, listen string, serve func(net.Conn)) error {
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
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}
