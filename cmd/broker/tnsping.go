package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"servicebroker/descriptor"
	"servicebroker/tns"
)

type tnspingCommand struct {
	Words []string `arg:"" optional:"" help:"HOST:PORT, an alias of tnsnames.ora or a descriptor, and how often."`
}

// pingTimeout is how long one ping may take.
const pingTimeout = 60 * time.Second

// tnsping is one run of it.
type tnsping struct {
	tool
	alias string
	count int
}

// Run pings as often as it is told and fails if the last one did, as tnsping does.
func (c *tnspingCommand) Run(ctx context.Context, t *terminal) error {
	p := &tnsping{count: 1}
	p.tool = tool{t: t, name: "TNS Ping Utility", execute: p.execute, fail: func(err error) error { return err }}
	if err := p.banner(); err != nil {
		return err
	}
	if len(c.Words) == 0 {
		fmt.Fprintln(t.out, "TNS-03502: Insufficient arguments.  Usage:  tnsping <address> [<count>]")
		return saidError{}
	}
	return p.once(ctx, c.Words)
}

func (p *tnsping) execute(ctx context.Context, words []string) error {
	p.alias = words[0]
	if len(words) > 1 {
		count, err := strconv.Atoi(words[1])
		if err != nil || count < 1 {
			return fmt.Errorf("%q is no number of pings: use 1 or more", words[1])
		}
		p.count = count
	}
	target, err := p.resolve(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.t.out, "Attempting to contact %s\n", target.shown)
	for range p.count {
		began := time.Now()
		if err = pingAny(ctx, target.addresses); err != nil {
			fmt.Fprintln(p.t.out, err)
			continue
		}
		fmt.Fprintf(p.t.out, "OK (%d msec)\n", time.Since(began).Milliseconds())
	}
	if err != nil {
		return saidError{}
	}
	return nil
}

// pingTarget is what a name stands for.
type pingTarget struct {
	shown     string // as tnsping shows it
	addresses []descriptor.Address
}

// resolve finds what the alias stands for: a descriptor, an entry of tnsnames.ora, or a host.
func (p *tnsping) resolve(ctx context.Context) (pingTarget, error) {
	used := p.parameterFiles()
	if strings.HasPrefix(p.alias, "(") {
		node, err := descriptor.Parse(p.alias)
		if err != nil {
			return pingTarget{}, failedToResolve(err.Error())
		}
		return targetOf(node, p.alias)
	}
	node, text, err := lookupAlias(p.alias)
	switch {
	case err != nil:
		return pingTarget{}, failedToResolve(err.Error())
	case node != nil:
		fmt.Fprintf(p.t.out, "Used parameter files:\n%s\n\nUsed TNSNAMES adapter to resolve the alias\n", used)
		return targetOf(node, text)
	}
	fmt.Fprintf(p.t.out, "Used parameter files:\n%s\n", used)
	return p.resolveHost(ctx)
}

// parameterFiles are those that tnsping says it has used, a line each.
func (p *tnsping) parameterFiles() string {
	file := filepath.Join(os.Getenv("TNS_ADMIN"), "sqlnet.ora")
	if _, err := os.Stat(file); err != nil || os.Getenv("TNS_ADMIN") == "" {
		return ""
	}
	return file + "\n"
}

// resolveHost takes the alias for a host, with or without port and service.
func (p *tnsping) resolveHost(ctx context.Context) (pingTarget, error) {
	node, err := descriptor.EasyConnect(p.alias)
	if err != nil {
		return pingTarget{}, failedToResolve(err.Error())
	}
	target, err := targetOf(node, "")
	if err != nil {
		return target, err
	}
	at := target.addresses[0]
	found, err := net.DefaultResolver.LookupHost(ctx, at.Host)
	if err != nil || len(found) == 0 {
		return target, failedToResolve(fmt.Sprintf("%s is neither an alias of tnsnames.ora in TNS_ADMIN nor a host", at.Host))
	}
	fmt.Fprintln(p.t.out, "Used HOSTNAME adapter to resolve the alias")
	target.shown = fmt.Sprintf("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=%s))(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d)))",
		descriptor.ConnectData(node).Text("SERVICE_NAME"), strings.ToLower(at.Protocol), found[0], at.Port)
	return target, nil
}

func failedToResolve(detail string) error {
	return &netError{3505, "Failed to resolve name", detail}
}

// targetOf takes the addresses out of a descriptor. Along a source route only the first hop is pinged.
func targetOf(node *descriptor.Node, shown string) (pingTarget, error) {
	target := pingTarget{shown: shown}
	for _, n := range descriptor.Addresses(node) {
		at, err := n.Address()
		if err != nil {
			return target, failedToResolve(err.Error())
		}
		target.addresses = append(target.addresses, at)
	}
	if len(target.addresses) == 0 {
		return target, &netError{12533, "TNS:illegal ADDRESS parameters", "there is no ADDRESS"}
	}
	if descriptor.SourceRoute(node) {
		target.addresses = target.addresses[:1]
	}
	return target, nil
}

// pingAny asks one address after the other until one answers.
func pingAny(ctx context.Context, addresses []descriptor.Address) (err error) {
	for _, at := range addresses {
		if err = pingOnce(ctx, at); err == nil {
			return nil
		}
	}
	return err
}

// pingOnce asks a listener whether it is there. Over TLS it believes any certificate: nothing is told that is worth
// anything.
func pingOnce(ctx context.Context, at descriptor.Address) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.HostPort())
	if err != nil {
		return pingFailure(err)
	}
	if strings.EqualFold(at.Protocol, "tcps") {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	defer conn.Close()
	if _, err := tns.Ping(ctx, conn); err != nil {
		return pingFailure(err)
	}
	return nil
}

// pingFailure gives what went wrong its number.
func pingFailure(err error) error {
	var refused *tns.RefusedError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &refused) && refused.Refuse.Code() != 0:
		return &netError{int(refused.Refuse.Code()), "TNS:" + refused.Refuse.Code().Meaning(), ""}
	case errors.As(err, &lookup):
		return &netError{12545, "Connect failed because target host or object does not exist", ""}
	case errors.Is(err, syscall.ECONNREFUSED):
		return noListener("")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return &netError{12535, "TNS:operation timed out", ""}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return &netError{12543, "TNS:destination host unreachable", ""}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &netError{12537, "TNS:connection closed", ""}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &netError{12547, "TNS:lost contact", ""}
	}
	return &netError{12560, "TNS:protocol adapter error", err.Error()}
}
