package main

import (
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"

	"servicebroker/console"
)

// compat says whose layout is wanted: "" that of this program, "lsnrctl" or "cmctl".
type compat string

// The layouts. In compatAuto each command has that of the tool whose command of this name is better known.
const (
	compatAuto    compat = "auto"
	compatLsnrctl compat = "lsnrctl"
	compatCmctl   compat = "cmctl"
)

// Decode takes --compat alone, or with the name of a tool.
func (c *compat) Decode(ctx *kong.DecodeContext) error {
	*c = compatAuto
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	word := fmt.Sprint(ctx.Scan.Pop().Value)
	switch *c = compat(word); *c {
	case compatAuto, compatLsnrctl, compatCmctl:
		return nil
	}
	return fmt.Errorf("%q is no tool whose layout is known: use lsnrctl or cmctl, or --compat alone", word)
}

// IsBool lets the value be left out.
func (c *compat) IsBool() bool { return true }

// or is the tool to follow, where by default it is that one.
func (c compat) or(usual compat) compat {
	if c == compatAuto {
		return usual
	}
	return c
}

// compatStatus shows a status in the layout of lsnrctl, or of cmctl if that is asked for.
func (b *answering) compatStatus(w io.Writer, s console.Status) error {
	if b.layout.or(compatLsnrctl) == compatLsnrctl {
		return console.WriteListenerStatus(w, s)
	}
	return console.WriteCMANStatus(w, s, b.gateway)
}

func (b *answering) compatServices(w io.Writer, list console.ServiceList) error {
	if b.layout.or(compatLsnrctl) == compatLsnrctl {
		return console.WriteListenerServices(w, list, b.status, console.Normal)
	}
	return console.WriteCMANServices(w, list, b.status, b.gateway)
}

func (b *answering) compatVersion(w io.Writer) error {
	if b.layout.or(compatCmctl) == compatLsnrctl {
		return console.WriteListenerVersion(w, b.status)
	}
	return console.WriteCMANVersion(w, b.status)
}

func compatSessions(w io.Writer, list console.SessionList) error {
	return console.WriteCMANConnections(w, list.Sessions, "detail", time.Now())
}

func compatParameters(w io.Writer, list console.ParameterList) error {
	return console.WriteCMANParameters(w, list, false)
}
