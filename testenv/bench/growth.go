package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

// landscape is what is registered with a broker besides the instance that is asked for.
type landscape struct {
	name string
	registrants
}

// The landscapes, small ones and what they are compared with. Where carried is the name, the services are those that are asked for.
var landscapes = []landscape{
	{"10 services", registrants{Name: "few", Instances: 10, Services: 1, Sharing: 1}},
	{"10000 services", registrants{Name: "many", Instances: 100, Services: 100, Sharing: 1}},
	{"2 instances of another service", registrants{Name: "other", Instances: 2, Services: 1, Sharing: 2}},
	{"512 instances of another service", registrants{Name: "other", Instances: 512, Services: 1, Sharing: 512}},
	{"2 instances of the service", registrants{Name: carried, Instances: 1, Services: 1, Sharing: 1}},
	{"512 instances of the service", registrants{Name: carried, Instances: 511, Services: 1, Sharing: 511}},
	{"10 databases", registrants{Name: "db", Instances: 10, Services: 1, Sharing: 1}},
	{"10000 databases", registrants{Name: "db", Instances: 10000, Services: 1, Sharing: 1}},
	{registering, registrants{Name: "rac", Instances: 1000, Services: 20, Sharing: 20}},
}

const registering = "1000 instances × 20 services"

// calm and storming are the broker with that landscape while nobody registers, and while all do so every second.
const (
	calm     = "at rest"
	storming = "registering anew within 1 s"
)

func (l *lab) landscape(name string) *landscape {
	if name == calm || name == storming {
		name = registering
	}
	for i := range landscapes {
		if landscapes[i].name == name {
			return &landscapes[i]
		}
	}
	return nil
}

// startLandscape starts a broker, or takes the one that has the landscape already, and waits until all are registered.
func (l *lab) startLandscape(ctx context.Context, of *landscape) (*peer, error) {
	if p := l.peers[calm]; of.name == registering && p != nil {
		return p, nil
	}
	if l.wide == nil {
		wide, err := start(l.folder, "wide", l.self, "backend", "-listen", "0.0.0.0:0")
		if err != nil {
			return nil, err
		}
		l.wide = wide
	}
	at, err := l.wide.ready(ctx)
	if err != nil {
		return nil, err
	}
	p, err := l.startBroker()
	if err != nil {
		return nil, err
	}
	l.brokers++
	p.others, err = start(l.folder, fmt.Sprintf("registrants%d", l.brokers), l.self, "registrants", "-broker", p.address, "-port", portOf(at), "-name", of.Name,
		"-instances", fmt.Sprint(of.Instances), "-services", fmt.Sprint(of.Services), "-sharing", fmt.Sprint(of.Sharing))
	if err == nil {
		err = p.process.until(ctx, func() error { return p.hasInstances(of.Instances + 1) })
	}
	if err != nil {
		p.stop()
	}
	return p, err
}

// hasInstances asks the broker's metrics whether so many take sessions.
func (p *peer) hasInstances(want int) error {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + p.console + "/metrics")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	var have int
	_, after, _ := bytes.Cut(text, []byte("\nservicebroker_instances{status=\"READY\"} "))
	if _, err := fmt.Sscan(string(after[:min(len(after), 20)]), &have); err != nil || have != want {
		return fmt.Errorf("%d of %d instances have registered", have, want)
	}
	return nil
}

// growthMeasures are how a connect's cost depends on what is registered besides.
func growthMeasures() []measure {
	var all []measure
	for i := 0; i+1 < len(landscapes); i += 2 {
		pair := []string{landscapes[i].name, landscapes[i+1].name}
		all = append(all,
			measure{group: "growth", title: "relayed connects, 1 at a time, " + pair[0] + " or " + pair[1], peers: pair, shown: timed, run: connectsOf(1)},
			measure{group: "growth", title: "redirect decisions, 16 at a time, " + pair[0] + " or " + pair[1], peers: pair, shown: timed, run: decisionsOf(16)})
	}
	return append(all, measure{
		group: "storm", title: fmt.Sprintf("%d relayed connects/s beside %s", paced, registering), peers: []string{calm, storming}, shown: timed, run: besideStorm,
	})
}

// decisionsOf has the broker redirect, where the peer is one that otherwise relays.
func decisionsOf(n int) func(context.Context, *lab, *peer, time.Duration) (figures, error) {
	return func(_ context.Context, _ *lab, p *peer, lasting time.Duration) (figures, error) {
		c := connects{target: p.address, packet: connectPacket(moved), want: tns.TypeRedirect}
		found, err := c.run(n, lasting)
		if err != nil {
			return nil, err
		}
		return found.figures(), found.why
	}
}

// paced is how many connects begin in a second whose time is measured beside a storm, whatever becomes of those before.
const paced = 1000

func besideStorm(ctx context.Context, _ *lab, p *peer, lasting time.Duration) (figures, error) {
	if p.name == storming {
		if err := p.others.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			return nil, fmt.Errorf("begin the storm: %w", err)
		}
		defer func() { _ = p.others.cmd.Process.Signal(syscall.SIGUSR2) }()
	}
	if err := stage.Pause(ctx, lasting/warming); err != nil {
		return nil, err
	}
	c := p.connects
	c.rate = paced
	found, err := c.run(1, lasting)
	if err != nil {
		return nil, err
	}
	return found.figures(), found.why
}

// growthComparisons are the targets.
func growthComparisons() []comparison {
	var all []comparison
	for _, m := range growthMeasures() {
		c := comparison{group: m.group, title: m.title, figure: "p50", ours: m.peers[1], theirs: m.peers[0], most: 1.2}
		switch {
		case m.group == "storm":
			c.figure, c.most = "p99", 1.1
		case strings.HasSuffix(c.ours, "of the service"), strings.HasSuffix(c.ours, "databases"): // there is more to choose from, and to probe
			c.most = 0
		}
		all = append(all, c)
	}
	return all
}
