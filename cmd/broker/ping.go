package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"servicebroker/certs"
	"servicebroker/descriptor"
	"servicebroker/tns"
)

type pingCommand struct {
	Target  string        `arg:"" help:"HOST:PORT asks the listener there (as tnsping does); HOST:PORT/SERVICE tries a connect up to its acceptance; tcps://… goes over TLS."`
	Count   int           `default:"1" help:"How often."`
	Timeout time.Duration `default:"5s" help:"How long to wait for each answer."`

	Certificate string `placeholder:"FILE" help:"Over TLS: PEM file of a certificate and key to show there. With --ca the certificate there has to be good; without, any will do, and is shown."`
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
	trust, err := c.trust(global.CA)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if !strings.EqualFold(address.Protocol, "tcp") && !strings.EqualFold(address.Protocol, "tcps") {
		return &exitError{exitUsage, fmt.Errorf("%s: %s cannot be pinged: use tcp or tcps", c.Target, address.Protocol)}
	}
	failed := 0
	for range c.Count {
		began := time.Now()
		said, err := c.once(ctx, address, target, trust)
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

// trust is whom to believe over TLS.
func (c *pingCommand) trust(ca string) (*certs.Outbound, error) {
	o := &certs.Outbound{Source: &certs.Source{CA: ca, Certificate: c.Certificate}, Unverified: ca == ""}
	return o, o.Source.Load()
}

// once makes one attempt and returns what was answered.
func (c *pingCommand) once(ctx context.Context, address descriptor.Address, target *descriptor.Node, trust *certs.Outbound) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	dial, shown := new(net.Dialer).DialContext, ""
	var conn net.Conn
	if strings.EqualFold(address.Protocol, "tcps") {
		secure, err := certs.DialTLS(ctx, dial, address.HostPort(), trust)
		if err != nil {
			return "", err
		}
		conn, shown = secure, describeTLS(secure, trust)
	} else {
		plain, err := dial(ctx, "tcp", address.HostPort())
		if err != nil {
			return "", err
		}
		conn = plain
	}
	defer conn.Close()
	if descriptor.ConnectData(target).Text("SERVICE_NAME") == "" {
		said, err := tns.Ping(ctx, conn)
		return said + shown, err
	}
	reply, err := tns.TryService(ctx, conn, []byte(target.String()))
	if err != nil {
		return "", err
	}
	said, err := describeReply(reply)
	return said + shown, err
}

// describeTLS tells what was seen of the other side.
func describeTLS(c *certs.Conn, trust *certs.Outbound) string {
	state := c.ConnectionState()
	text := fmt.Sprintf(" over %s with %s until %s", tls.VersionName(state.Version), certs.Subject(state.PeerCertificates[0]), state.PeerCertificates[0].NotAfter.UTC().Format(time.RFC3339))
	if trust.Unverified {
		text += ", not verified"
	}
	return descriptor.Escape(text)
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
