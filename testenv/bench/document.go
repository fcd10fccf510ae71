package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// The part of a document between these lines is what was measured; the rest is people's.
const (
	measuredFrom = "<!-- measured: make bench writes what is between these lines -->\n"
	measuredTo   = "<!-- /measured -->\n"
)

// writeInto puts what was measured into a document.
func writeInto(file string, measured []byte) error {
	document, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		document, err = []byte(measuredFrom+measuredTo), nil
	}
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(document, []byte(measuredFrom))
	_, after, ends := bytes.Cut(rest, []byte(measuredTo))
	if !begins || !ends {
		return fmt.Errorf("%s lacks the lines between which measurements stand: %s and %s", file, strings.TrimSpace(measuredFrom), strings.TrimSpace(measuredTo))
	}
	return os.WriteFile(file, bytes.Join([][]byte{before, []byte(measuredFrom), measured, []byte(measuredTo), after}, nil), 0o644)
}

// machine describes where and with what was measured.
func (o *options) machine(ctx context.Context, arguments []string) [][]string {
	rows := [][]string{
		{"", ""},
		{"measured", time.Now().UTC().Format("2006-01-02 15:04 UTC")},
		{"by", strings.TrimSpace("scripts/bench " + strings.Join(arguments, " "))},
		{"processor", fmt.Sprintf("%s, %s", first(textOf("/proc/cpuinfo"), `(?m)^model name\s*: (.*)$`), plural(runtime.NumCPU(), "core"))},
		{"memory", fmt.Sprintf("%.0f GB", memoryKB()/1e6)},
		{"kernel", kernel()},
		{"broker", first(textOf("broker/broker.go"), `const Version = "(.*)"`) + ", " + strings.TrimPrefix(runtime.Version(), "go version ")},
	}
	for _, peer := range []struct{ name, program, flag, pattern string }{
		{"HAProxy", "haproxy", "-v", `version (\S+)`},
		{"nginx", "nginx", "-v", `nginx/(\S+)`},
		{"CoreDNS", "coredns", "-version", `CoreDNS-(\S+)`},
	} {
		program, err := find(peer.program)
		if err != nil {
			continue
		}
		text, _ := exec.CommandContext(ctx, program, peer.flag).CombinedOutput()
		rows = append(rows, []string{peer.name, first(string(text), peer.pattern)})
	}
	return rows
}

// measuring leaves out of a command what says where results go.
func measuring(arguments []string) []string {
	var all []string
	for i := 0; i < len(arguments); i++ {
		if name := strings.TrimLeft(arguments[i], "-"); name == "write" || name == "results" {
			i++ // and its value
			continue
		}
		all = append(all, arguments[i])
	}
	return all
}

func textOf(file string) string {
	text, _ := os.ReadFile(file)
	return string(text)
}

// first is what the pattern finds in parentheses; "unknown" where it finds nothing.
func first(text, pattern string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return "unknown"
}

func memoryKB() (kb float64) {
	_, _ = fmt.Sscan(first(textOf("/proc/meminfo"), `MemTotal:\s*(\d+)`), &kb)
	return kb
}

func kernel() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "unknown"
	}
	var release []byte
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	return "Linux " + string(release)
}
