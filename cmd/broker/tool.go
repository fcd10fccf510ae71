package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"servicebroker/broker"
	"servicebroker/console"
)

// tool is what the control utilities have in common: how they greet, read commands, and fail. They say everything on
// standard output, errors included, since that is where scripts look for them.
type tool struct {
	t       *terminal
	name    string // "CMCTL"
	prompt  func() string
	execute func(ctx context.Context, words []string) error
	fail    func(error) error // gives an error the number by which the tool would tell it
}

// errLeave ends a conversation.
var errLeave = errors.New("leave")

// netError is a failure under its name and number.
type netError struct {
	code   int
	text   string
	detail string // what else there is to say; scripts look at the first line alone
}

func (e *netError) Error() string {
	text := fmt.Sprintf("TNS-%05d: %s", e.code, e.text)
	if e.detail != "" {
		text += "\n " + strings.ReplaceAll(e.detail, "\n", "\n ")
	}
	return text
}

// Failures that the tools name alike.
func notStarted(detail string) error {
	return &netError{4011, "Oracle Connection Manager instance not yet started.", detail}
}

func noListener(detail string) error { return &netError{12541, "TNS:no listener", detail} }

func notPermitted(detail string) error { return &netError{12546, "TNS:permission denied", detail} }

func notResolved(detail string) error {
	return &netError{12508, "TNS:listener could not resolve the COMMAND given", detail}
}

// undefined tells that there is no such command.
func undefined(word string) error {
	return fmt.Errorf("NL-00853: undefined command %q.  Try \"help\"", word)
}

// numbered gives an error of the API its number; away is what it means that no broker answers.
func numbered(err error, away func(string) error) error {
	var told *netError
	problem, refused := errors.AsType[*console.APIError](err)
	switch {
	case err == nil || errors.As(err, &told) || errors.Is(err, errLeave):
		return err
	case errors.Is(err, fs.ErrPermission) || refused && (problem.Status == http.StatusForbidden || problem.Status == http.StatusUnauthorized):
		return notPermitted(err.Error())
	case errors.Is(err, console.ErrUnreachable):
		return away(err.Error())
	case refused:
		return notResolved(err.Error())
	}
	return err
}

// banner greets.
func (o *tool) banner() error {
	return console.WriteBanner(o.t.out, o.name, broker.VersionInfo(), time.Now())
}

// once executes one command and returns what the program is to end with.
func (o *tool) once(ctx context.Context, words []string) error {
	err := o.fail(o.execute(ctx, words))
	if err == nil || errors.Is(err, errLeave) {
		return nil
	}
	if !errors.As(err, new(saidError)) {
		fmt.Fprintln(o.t.out, err)
	}
	return saidError{}
}

// converse reads commands, one a line, until there are no more or one says so.
func (o *tool) converse(ctx context.Context) error {
	fmt.Fprintf(o.t.out, "Welcome to %s, type \"help\" for information.\n\n", o.name)
	if o.t.in == nil {
		return nil
	}
	lines := bufio.NewScanner(o.t.in)
	for {
		fmt.Fprint(o.t.out, o.prompt())
		if !lines.Scan() {
			fmt.Fprintln(o.t.out)
			return lines.Err()
		}
		words := strings.Fields(strings.TrimRight(strings.TrimSpace(lines.Text()), ";"))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		err := o.fail(o.execute(ctx, words))
		if errors.Is(err, errLeave) {
			return nil
		}
		if err != nil {
			fmt.Fprintln(o.t.out, err)
		}
	}
}

// verb is one command of a tool.
type verb struct {
	name   string
	syntax string // what follows the name
	about  string
	run    func(ctx context.Context, words []string) error
}

// find chooses a verb by its name or the beginning of it, in any case; of several the first.
func find(verbs []verb, word string) (verb, bool) {
	word = strings.ToLower(word)
	for _, whole := range []bool{true, false} {
		for _, v := range verbs {
			if v.name == word || !whole && word != "" && strings.HasPrefix(v.name, word) {
				return v, true
			}
		}
	}
	return verb{}, false
}

// dispatch executes one of the verbs.
func dispatch(ctx context.Context, verbs []verb, words []string) error {
	v, found := find(verbs, words[0])
	if !found {
		return undefined(words[0])
	}
	return v.run(ctx, words[1:])
}

// help lists verbs, or explains one.
func (o *tool) help(verbs []verb, words []string) error {
	if len(words) > 0 {
		v, found := find(verbs, words[0])
		if !found {
			return undefined(words[0])
		}
		_, err := fmt.Fprintf(o.t.out, "%s: %s\n", strings.TrimSpace(v.name+" "+v.syntax), v.about)
		return err
	}
	var b strings.Builder
	b.WriteString("The following operations are available\n\n")
	width := 15
	for _, v := range verbs {
		width = max(width, len(v.name))
	}
	for i, v := range verbs {
		fmt.Fprintf(&b, "%-*s", width+1, v.name)
		if i%4 == 3 || i == len(verbs)-1 {
			b.WriteString("\n")
		}
	}
	b.WriteString("\nhelp COMMAND tells more.\n")
	_, err := fmt.Fprint(o.t.out, b.String())
	return err
}
