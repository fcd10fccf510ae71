package main

import (
	"context"
	"fmt"
	"strings"

	"servicebroker/console"
)

type cmctlCommand struct {
	Words []string `arg:"" optional:"" help:"A command of cmctl with its arguments, and -c INSTANCE. None: a conversation."`
}

// cmctl is a conversation with one instance at a time.
type cmctl struct {
	tool
	global *cli
	at     *administered // nil before administer
	brief  bool          // do not tell of each command which instance it is about
}

// Run executes one command, or converses if there is none.
func (c *cmctlCommand) Run(ctx context.Context, t *terminal, global *cli) error {
	words, instance, err := cmctlArguments(c.Words)
	if err != nil {
		return &exitError{exitNo, err}
	}
	m := &cmctl{global: global}
	m.tool = tool{t: t, name: "CMCTL", prompt: m.promptText, execute: m.execute, fail: func(err error) error { return numbered(err, notStarted) }}
	if err := m.banner(); err != nil {
		return err
	}
	if len(words) > 0 {
		return m.once(ctx, append(words, "-c", instance))
	}
	m.brief = true
	if instance != "" {
		if err := m.once(ctx, []string{"administer", instance}); err != nil {
			return err
		}
	}
	return m.converse(ctx)
}

// cmctlArguments takes -c INSTANCE and -p PASSWORD out, wherever they stand.
func cmctlArguments(all []string) (words []string, instance string, err error) {
	for i := 0; i < len(all); i++ {
		switch all[i] {
		case "-c", "-p":
			if i++; i == len(all) {
				return nil, "", fmt.Errorf("%s is the last word: a value has to follow", all[i-1])
			}
			if all[i-1] == "-c" {
				instance = all[i]
			}
		case "-h", "-help", "--help":
			words = append(words, "help")
		default:
			words = append(words, all[i])
		}
	}
	return words, instance, nil
}

func (m *cmctl) promptText() string {
	if m.at == nil {
		return "CMCTL> "
	}
	return "CMCTL:" + m.at.name + "> "
}

// verbs are all commands.
func (m *cmctl) verbs() []verb {
	return []verb{
		{"administer", "[-c] [INSTANCE]", "speak to that instance of cman.ora from now on; without a name, to CMAN_<hostname> or the only one", m.administer},
		{"close", "connections [in STATE] [gt TIME] [from SOURCE] [to DESTINATION] [for SERVICE] [using 0]", "end the sessions that fit all that is given", m.closeConnections},
		{"exit", "", "leave", leave},
		{"help", "[COMMAND]", "list commands, or explain one", func(_ context.Context, words []string) error { return m.help(m.verbs(), words) }},
		{"quit", "", "leave", leave},
		{"reload", "", "read cman.ora again; sessions are not touched", m.reload},
		{"resume", "gateways [0]", "take new connects again", m.resume},
		{"save_passwd", "", "nothing: whoever may open the admin socket may administer", m.savePassword},
		{"set", "NAME VALUE", "tells where the setting is changed: nothing but what is asked for at run time alone", m.set},
		{"show", "all|connections|defaults|events|gateways|parameters|rules|services|stats|status|version", "look", m.show},
		{"shutdown", "[normal [timeout SECONDS] | abort]", "take no new connects, and end when sessions are over, when the time is up, or at once", m.shutdown},
		{"startup", "", "run the instance in the background and wait until it answers", m.startup},
		{"suspend", "gateway [0]", "take no new connects; sessions go on", m.suspend},
	}
}

func leave(context.Context, []string) error { return errLeave }

// execute runs one command line. All but help and leaving are about an instance.
func (m *cmctl) execute(ctx context.Context, words []string) error {
	words, instance, err := cmctlArguments(words)
	if err != nil || len(words) == 0 {
		return err
	}
	v, found := find(m.verbs(), words[0])
	if !found {
		return undefined(words[0])
	}
	switch v.name {
	case "help", "exit", "quit":
		return v.run(ctx, words[1:])
	case "administer":
		if instance != "" {
			words = append(words, instance)
		}
		return v.run(ctx, words[1:])
	}
	if err := m.choose(ctx, instance); err != nil {
		return err
	}
	if v.name == "startup" {
		return v.run(ctx, words[1:])
	}
	status, away, err := m.at.started(ctx)
	if err != nil {
		return err
	}
	m.introduce(status, away == nil)
	if away != nil {
		return numbered(m.at.absent(away), notStarted)
	}
	return v.run(ctx, words[1:])
}

// choose makes sure that there is an instance to speak to.
func (m *cmctl) choose(ctx context.Context, instance string) error {
	if m.at != nil && (instance == "" || strings.EqualFold(instance, m.at.name)) {
		return nil
	}
	at, err := administer(ctx, m.global, instance)
	if err != nil {
		return err
	}
	m.at = at
	return nil
}

// introduce tells which instance a command is about.
func (m *cmctl) introduce(status console.Status, started bool) {
	if m.brief {
		return
	}
	fmt.Fprintf(m.t.out, "Current instance %s %s\nConnecting to %s\n", m.at.name, startedText(started), console.CMANAddress(status))
}

func startedText(started bool) string {
	if started {
		return "is already started"
	}
	return "is not yet started"
}

func (m *cmctl) administer(ctx context.Context, words []string) error {
	name := ""
	if len(words) > 0 {
		name = words[0]
	}
	at, err := administer(ctx, m.global, name)
	if err != nil {
		return err
	}
	m.at = at
	status, away, err := at.started(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(m.t.out, "Current instance %s %s\nConnections refer to %s.\n", at.name, startedText(away == nil), console.CMANAddress(status))
	m.done()
	return nil
}

func (m *cmctl) done() { fmt.Fprintln(m.t.out, "The command completed successfully.") }
