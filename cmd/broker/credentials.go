package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"servicebroker/console"
)

type credentialsCommand struct {
	Add    credentialsAddCommand    `cmd:"" help:"Make the line of somebody who may use the API; the password is asked for, or read from standard input."`
	Remove credentialsRemoveCommand `cmd:"" help:"Take somebody's lines out of a file."`
	List   credentialsListCommand   `cmd:"" help:"Show who is in a file, and say what is wrong with it."`
}

type credentialsAddCommand struct {
	Name     string   `arg:"" help:"Name of whoever it is for."`
	Role     string   `enum:"viewer,operator" default:"viewer" help:"viewer: may look; operator: may change things, too."`
	Services []string `placeholder:"PATTERN,…" help:"Only for these services, * for any text. Default: all, and the broker itself."`
	Token    bool     `help:"Make a token, for programs, in place of a password. It is shown once."`
	File     string   `placeholder:"FILE" help:"Put the line into this file of REST_CREDENTIALS. Default: print it."`
}

// Run makes one line.
func (c *credentialsAddCommand) Run(t *terminal) error {
	made := console.Credential{Name: c.Name, Role: console.Role(c.Role)}
	if err := console.CheckCredentialName(c.Name); err != nil {
		return &exitError{exitUsage, err}
	}
	if len(c.Services) > 0 {
		services, err := console.ParseScope(strings.Join(c.Services, ","))
		if err != nil {
			return &exitError{exitUsage, err}
		}
		made.Services = services
	}
	token := ""
	if c.Token {
		token = console.NewToken()
		made.Token = console.HashToken(token)
	} else {
		password, err := newPassword(t)
		if err != nil {
			return err
		}
		made.Password = console.HashPassword(password)
	}
	if c.File == "" {
		if token != "" {
			fmt.Fprintf(t.err, "The token, which is not shown again: %s\nThe line for the file of REST_CREDENTIALS:\n", token)
		}
		_, err := fmt.Fprintln(t.out, made)
		return err
	}
	if err := c.keep(made); err != nil {
		return err
	}
	fmt.Fprintf(t.err, "%s is in %s. A broker that uses the file lets %s in from now on.\n", made.Name, c.File, made.Name)
	if token != "" {
		fmt.Fprintln(t.out, token)
	}
	return nil
}

// keep puts a credential into the file. A new password takes the place of the old one; tokens are added.
func (c *credentialsAddCommand) keep(made console.Credential) error {
	return rewriteCredentials(c.File, func(lines []string) ([]string, error) {
		for i, line := range lines {
			if words := strings.Fields(line); made.Password != "" && len(words) > 2 && words[0] == made.Name && strings.EqualFold(words[2], "basic") {
				lines[i] = made.String()
				return lines, nil
			}
		}
		return append(lines, made.String()), nil
	})
}

type credentialsRemoveCommand struct {
	Name string `arg:"" help:"Name of whoever is not let in any more."`
	File string `required:"" placeholder:"FILE" help:"The file of REST_CREDENTIALS."`
}

// Run takes all lines of a name out.
func (c *credentialsRemoveCommand) Run(t *terminal) error {
	err := rewriteCredentials(c.File, func(lines []string) ([]string, error) {
		left := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			words := strings.Fields(line)
			return len(words) > 0 && words[0] == c.Name
		})
		if len(left) == len(lines) {
			return nil, fmt.Errorf("%s is not in %s: broker credentials list --file %s shows who is", c.Name, c.File, c.File)
		}
		return left, nil
	})
	if err == nil {
		fmt.Fprintf(t.err, "%s is not in %s any more, and is not let in from now on.\n", c.Name, c.File)
	}
	return err
}

type credentialsListCommand struct {
	File string `required:"" placeholder:"FILE" help:"The file of REST_CREDENTIALS."`
}

// Run lists names, roles and services.
func (c *credentialsListCommand) Run(t *terminal) error {
	all, err := console.ReadCredentials(c.File)
	if err != nil {
		return err
	}
	for _, one := range all {
		with, services := "password", "all services, and the broker itself"
		if one.Token != "" {
			with = "token"
		}
		if len(one.Services) > 0 {
			services = strings.Join(one.Services, ",")
		}
		fmt.Fprintf(t.out, "%s\t%s\t%s\t%s\n", one.Name, one.Role, with, services)
	}
	return nil
}

// rewriteCredentials changes the lines of a file, which need not exist, in one step. What would not be read is not written,
// and nothing is where change fails.
func rewriteCredentials(file string, change func([]string) ([]string, error)) error {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var lines []string
	if trimmed := strings.TrimRight(string(text), "\n"); trimmed != "" {
		lines = strings.Split(trimmed, "\n")
	}
	after := ""
	if lines, err = change(lines); err != nil {
		return err
	}
	if len(lines) > 0 {
		after = strings.Join(lines, "\n") + "\n"
	}
	if _, err := console.ParseCredentials([]byte(after)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	next, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // which nobody else may read
	if err != nil {
		return err
	}
	defer os.Remove(next.Name())
	_, err = next.WriteString(after)
	if info, statErr := os.Stat(file); err == nil && statErr == nil {
		err = keepOwner(next, info)
	}
	if err = errors.Join(err, next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), file)
}

// minPassword is the least length of a password.
const minPassword = 8

// newPassword asks for a password twice, without showing it; what is no terminal is read once.
func newPassword(t *terminal) (string, error) {
	if t.in == nil {
		return "", &exitError{exitUsage, errors.New("there is no password: give it on standard input, or use --token")}
	}
	restore, hidden := hideTyping(t.in)
	defer restore()
	lines := bufio.NewReader(t.in)
	read := func(prompt string) (string, error) {
		if hidden {
			fmt.Fprint(t.err, prompt)
			defer fmt.Fprintln(t.err)
		}
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line != "" {
			err = nil
		}
		return strings.TrimRight(line, "\r\n"), err
	}
	password, err := read("Password: ")
	switch {
	case err != nil:
		return "", &exitError{exitUsage, fmt.Errorf("there is no password: %w: give it on standard input, or use --token", err)}
	case len(password) < minPassword:
		return "", &exitError{exitUsage, fmt.Errorf("the password has fewer than %d characters: take a longer one", minPassword)}
	case !hidden:
		return password, nil
	}
	if again, err := read("Once more: "); err != nil || again != password {
		return "", &exitError{exitUsage, errors.New("the two are not the same: try again")}
	}
	return password, nil
}

// hideTyping lets a terminal show nothing of what is typed, until restore; false for what is no terminal.
func hideTyping(in io.Reader) (restore func(), hidden bool) {
	file, ok := in.(*os.File)
	if !ok {
		return func() {}, false
	}
	fd := int(file.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}, false
	}
	without := *before
	without.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &without); err != nil {
		return func() {}, false
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, true
}

// keepOwner gives a file the owner of another, as far as that may be, and its mode.
func keepOwner(f *os.File, of fs.FileInfo) error {
	if s, ok := of.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(s.Uid), int(s.Gid)) // who may not, owns it himself
	}
	return f.Chmod(of.Mode().Perm() &^ 0o027)
}
