package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/tns"
)

type pingCommand struct {
	Target  string        `arg:"" help:"HOST:PORT asks the listener there (as tnsping does); HOST:PORT/SERVICE tries a connect up to its acceptance."`
	Count   int           `default:"1" help:"How often."`
	Timeout time.Duration `default:"5s" help:"How long to wait for each answer."`
}

// Run pings Count times and fails if one of them did.
func (c *pingCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	if c.Count < 1 {
		return &exitError{exitUsage, fmt.Errorf("--count %d: use 1 or more", c.Count)}
	}
	if global.Compat != "" {
		return (&tnspingCommand{Words: []string{c.Target, strconv.Itoa(c.Count)}}).Run(ctx, t)
	}
	target, err := descriptor.EasyConnect(c.Target)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%s: %w", c.Target, err)}
	}
	addresses := descriptor.Addresses(target)
	address, err := addresses[0].Address()
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%s: %w", c.Target, err)}
	}
	if !strings.EqualFold(address.Protocol, "tcp") {
		return &exitError{exitUsage, fmt.Errorf("%s: only tcp can be pinged in this version", c.Target)}
	}
	failed := 0
	for range c.Count {
		began := time.Now()
		said, err := c.once(ctx, address, target)
		if err != nil {
			failed++
			said = err.Error()
		}
		printPing(t, global, said, err == nil, time.Since(began))
	}
	if failed > 0 {
		return &exitError{exitNo, fmt.Errorf("%d of %d attempts at %s failed", failed, c.Count, address.HostPort())}
	}
	return nil
}

func printPing(t *terminal, global *cli, said string, ok bool, took time.Duration) {
	ms := float64(took.Microseconds()) / 1000
	if global.Output == "json" {
		writeJSON(t.out, map[string]any{"ok": ok, "ms": ms, "answer": said})
		return
	}
	if ok {
		fmt.Fprintf(t.out, "OK (%.2f ms) %s\n", ms, said)
		return
	}
	fmt.Fprintf(t.out, "failed (%.2f ms): %s\n", ms, said)
}

// once makes one attempt and returns what was answered.
func (c *pingCommand) once(ctx context.Context, address descriptor.Address, target *descriptor.Node) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address.HostPort())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if descriptor.ConnectData(target).Text("SERVICE_NAME") == "" {
		return tns.Ping(ctx, conn)
	}
	reply, err := tns.TryService(ctx, conn, []byte(target.String()))
	if err != nil {
		return "", err
	}
	return describeReply(reply)
}

// describeReply tells a person what a listener said to a CONNECT.
func describeReply(reply tns.Message) (string, error) {
	switch m := reply.(type) {
	case *tns.Accept:
		return fmt.Sprintf("accepted, Oracle Net version %d", m.Version), nil
	case *tns.Redirect:
		return "redirected to " + descriptor.Escape(m.Address), nil
	case *tns.Refuse:
		return "", fmt.Errorf("%v: %s\n%s", m.Code(), m.Code().Meaning(), descriptor.Escape(m.Text))
	}
	return "", errors.New("an answer that is neither acceptance nor refusal")
}
