package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/tns"
)

// attacker does harm by volume, of one kind, at a rate, whether or not it is answered.
type attacker struct {
	Target, From string
	Kind         string
	Rate         float64 // connections a second
	Hold         int     // connections that are kept, of kinds that keep them
	For          time.Duration

	hello []byte // that a TLS client begins with
}

// attacked is what became of it.
type attacked struct {
	Kind    string  `json:"kind"`
	Seconds float64 `json:"seconds"`
	Offered uint64  `json:"offered"`
	Failed  uint64  `json:"failed"` // to connect
	Unsent  uint64  `json:"unsent"` // since too many were under way
	PerSec  float64 `json:"per_second"`
}

// harm is what one connection of an attack does. It returns what is to be kept open, if
// anything is.
type harm func(a *attacker, c net.Conn) (keep bool)

// harms are the kinds of attack, by name.
var harms = map[string]harm{
	"accepted":  func(_ *attacker, c net.Conn) bool { return asks(c, request("other")) },
	"sessions":  func(_ *attacker, c net.Conn) bool { asks(c, request("other")); return true },
	"refused":   func(_ *attacker, c net.Conn) bool { return asks(c, request("nobody")) },
	"limited":   func(_ *attacker, c net.Conn) bool { return asks(c, request("flooded")) },
	"status":    func(_ *attacker, c net.Conn) bool { return asks(c, command("status")) },
	"version":   func(_ *attacker, c net.Conn) bool { return asks(c, command("version")) },
	"forged":    func(_ *attacker, c net.Conn) bool { return asks(c, command("service_register_NSGR")) },
	"reset":     func(*attacker, net.Conn) bool { return false },
	"half-open": func(_ *attacker, c net.Conn) bool { return c.(*net.TCPConn).CloseWrite() == nil && drained(c) },
	"garbage":   func(_ *attacker, c net.Conn) bool { return asks(c, []byte("GET / HTTP/1.0\r\nHost: broker\r\n\r\n")) },
	"resend":    resendLoop,
	"hold":      func(*attacker, net.Conn) bool { return true },
	"half-packet": func(_ *attacker, c net.Conn) bool {
		_, err := c.Write(request("other")[:20])
		return err == nil
	},
	"half-data": func(_ *attacker, c net.Conn) bool { // announced, and never sent
		long := tns.NewConnect(append([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=other)(CID=(PROGRAM="), make([]byte, 400)...)).AppendTo(nil, false)
		_, err := c.Write(long[:len(long)-200])
		return err == nil
	},
	"handshake": func(a *attacker, c net.Conn) bool { return asks(c, a.hello) },
	"half-hello": func(a *attacker, c net.Conn) bool {
		_, err := c.Write(a.hello[:len(a.hello)/2])
		return err == nil
	},
}

// overTLS tells which kinds are for an address with TLS.
func overTLS(kind string) bool { return kind == "handshake" || kind == "half-hello" }

func kinds() []string { return slices.Sorted(maps.Keys(harms)) }

func command(name string) []byte {
	return tns.NewConnect([]byte("(CONNECT_DATA=(COMMAND="+name+"))")).AppendTo(nil, false)
}

// asks sends something and waits for whatever comes.
func asks(c net.Conn, packet []byte) bool {
	if _, err := c.Write(packet); err == nil {
		var answer [256]byte
		_, _ = c.Read(answer[:])
	}
	return false
}

func drained(c net.Conn) bool {
	_, _ = io.Copy(io.Discard, c)
	return false
}

// resendLoop sends one CONNECT after the other on its connection, and RESENDs between.
func resendLoop(_ *attacker, c net.Conn) bool {
	packet := append(tns.Resend{}.AppendTo(nil, false), request("other")...)
	for range 50 {
		if _, err := c.Write(packet); err != nil {
			return false
		}
	}
	return drained(c)
}

// run attacks until the time is over.
func (a *attacker) run(ctx context.Context) (*attacked, error) {
	does := harms[a.Kind]
	if does == nil {
		return nil, fmt.Errorf("%q is no kind of attack: one of %v", a.Kind, kinds())
	}
	if err := enoughDescriptors(a.Hold + mostUnderWay); err != nil {
		return nil, err
	}
	a.hello = clientHello()
	ctx, cancel := context.WithTimeout(ctx, a.For)
	defer cancel()
	l := loader{Target: a.Target, From: a.From}
	o := &attacked{Kind: a.Kind}
	var open sync.WaitGroup
	var underWay atomic.Int32
	var failed atomic.Uint64
	kept := keeper{most: a.Hold}
	fmt.Println("attack began")
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for ctx.Err() == nil {
		<-tick.C
		for due := uint64(time.Since(began).Seconds() * a.Rate); o.Offered < due && ctx.Err() == nil; o.Offered++ {
			if underWay.Load() >= mostUnderWay {
				o.Unsent++
				continue
			}
			underWay.Add(1)
			open.Go(func() {
				defer underWay.Add(-1)
				c, err := l.dial(ctx)
				if err != nil {
					failed.Add(1)
					return
				}
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				if does(a, c) {
					kept.keep(c)
					return
				}
				c.Close()
			})
		}
	}
	o.Seconds = time.Since(began).Seconds()
	o.PerSec = float64(o.Offered-o.Unsent) / o.Seconds
	open.Wait()
	kept.close()
	o.Failed = failed.Load()
	return o, nil
}

// keeper keeps connections open, the newest ones.
type keeper struct {
	most int
	mu   sync.Mutex
	all  []net.Conn
	over bool
}

func (k *keeper) keep(c net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over || k.most == 0 {
		c.Close()
		return
	}
	if k.all = append(k.all, c); len(k.all) > k.most {
		k.all[0].Close()
		k.all = k.all[1:]
	}
}

func (k *keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	for _, c := range k.all {
		c.Close()
	}
}

// clientHello is the first message of a TLS client, as often as one wants to send it: its
// server has all the work of a handshake, and its sender none.
func clientHello() []byte {
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: "broker", MinVersion: tls.VersionTLS12}).Handshake()
		client.Close()
	}()
	_ = server.SetReadDeadline(time.Now().Add(5 * time.Second))
	header := make([]byte, 5)
	if _, err := io.ReadFull(server, header); err != nil {
		return nil
	}
	body := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(server, body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return append(header, body...)
}
