package main

import (
	"errors"
	"fmt"

	"servicebroker/broker"
)

type convertCommand struct {
	Files []string `arg:"" help:"listener.ora, tnsnames.ora and sqlnet.ora, in any order."`
}

// Run prints the cman.ora that does the same as the files, and on standard error what there
// is to say about it.
func (c *convertCommand) Run(t *terminal, global *cli) error {
	text, notes := broker.Convert(c.Files...)
	if global.Output == "json" {
		if notes == nil {
			notes = broker.Messages{}
		}
		if err := writeJSON(t.out, map[string]any{"text": text, "messages": notes}); err != nil {
			return err
		}
	} else {
		for _, m := range notes {
			fmt.Fprintln(t.err, m)
		}
		fmt.Fprint(t.out, text)
	}
	if notes.Err() != nil {
		return &exitError{exitNo, errors.New("not converted: correct what is said above first")}
	}
	return nil
}
