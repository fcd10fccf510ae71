package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"servicebroker/broker"
	"servicebroker/console"
)

// administered is one instance that a control utility speaks to.
type administered struct {
	name    string
	file    string         // that it is configured by; "" for built-in defaults
	config  *broker.Config // nil where the file cannot be read, or the instance is known by its API alone
	problem error          // why it could not be started
	client  *console.Client
}

// administer finds an instance: by --api, else in $TNS_ADMIN/cman.ora, else by its name. An empty name means the
// default one.
func administer(ctx context.Context, global *cli, name string) (*administered, error) {
	if global.API != "" {
		return administerAPI(ctx, global.client(), name)
	}
	a := &administered{name: name, config: broker.DefaultConfig()}
	if file := filepath.Join(os.Getenv("TNS_ADMIN"), "cman.ora"); os.Getenv("TNS_ADMIN") != "" {
		if _, err := os.Stat(file); err == nil {
			a.readFile(file)
		}
	}
	switch {
	case a.config != nil && a.file == "" && name != "":
		a.config.Name = name // the state folder goes by the name
		a.problem = fmt.Errorf("there is no cman.ora to find %s in: set TNS_ADMIN to the folder that has it", name)
	case a.config == nil && name == "":
		return nil, a.problem
	case a.config == nil: // a broker may run although its file is broken by now
		return a, a.reach(&broker.Config{Name: name})
	}
	a.name = a.config.Name
	if a.file == "" && name == "" {
		a.client = global.client()
		return a, nil
	}
	return a, a.reach(a.config)
}

func (a *administered) readFile(file string) {
	if whole, err := filepath.Abs(file); err == nil {
		file = whole
	}
	config, messages := broker.ReadConfig(file, a.name)
	a.file, a.config, a.problem = file, config, messages.Err()
}

// reach sets the client for the admin socket of a configuration.
func (a *administered) reach(config *broker.Config) error {
	path, err := config.SocketPath()
	a.client = &console.Client{API: "unix:" + path}
	return err
}

// administerAPI is about the instance that answers there, which is to have the name if one is given.
func administerAPI(ctx context.Context, client *console.Client, name string) (*administered, error) {
	a := &administered{name: name, client: client}
	status, err := client.Status(ctx)
	switch {
	case errors.Is(err, console.ErrUnreachable):
		return a, nil
	case err != nil:
		return nil, err
	case name != "" && !strings.EqualFold(name, status.Instance):
		return nil, notStarted(fmt.Sprintf("at %s the instance %s answers: leave the name out, or name another address", client.API, status.Instance))
	}
	a.name = status.Instance
	return a, nil
}

// started asks how the instance is; away tells that it does not run.
func (a *administered) started(ctx context.Context) (status console.Status, away, err error) {
	status, err = a.client.Status(ctx)
	if errors.Is(err, console.ErrUnreachable) {
		return a.asConfigured(), err, nil
	}
	return status, nil, err
}

// absent is why an instance does not answer: what is wrong with its file, if that is known.
func (a *administered) absent(away error) error {
	if a.problem != nil {
		return fmt.Errorf("%w\n%w", away, a.problem)
	}
	return away
}

// asConfigured is what can be said of an instance that does not run.
func (a *administered) asConfigured() console.Status {
	s := console.Status{Instance: a.name}
	s.Machine, _ = os.Hostname()
	if a.config == nil {
		return s
	}
	for _, at := range a.config.Addresses {
		s.Listening = append(s.Listening, console.Endpoint{Protocol: strings.ToLower(at.Protocol), Host: at.Host, Port: at.Port})
	}
	return s
}
