package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clock is the time of day as brokers see it. They are built with a package time in which Now adds what a file says to the
// time of day, and leaves the monotonic clock alone: what they see is what a machine sees whose clock is set. Nothing of it
// is in the program that people use.
type clock struct {
	program string
	shared  []byte // the file, 8 bytes of nanoseconds
}

// jumpVariable names the file to a broker.
const jumpVariable = "SOAK_CLOCK"

// jumping is added to package time. It can only use what that is built on.
const jumping = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var jump = jumpFile()

func jumpFile() *int64 {
	path, _ := syscall.Getenv("` + jumpVariable + `")
	if path == "" {
		return new(int64)
	}
	file, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		return new(int64)
	}
	defer syscall.Close(file)
	shared, err := syscall.Mmap(file, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return new(int64)
	}
	return (*int64)(unsafe.Pointer(&shared[0]))
}

func jumped(sec int64, nsec int32, mono int64) (int64, int32, int64) {
	all := sec*1e9 + int64(nsec) + atomic.LoadInt64(jump)
	return all / 1e9, int32(all % 1e9), mono
}
`

// nowReads is the line of package time that is replaced, in Now alone, and what by.
const (
	nowReads = "sec, nsec, mono := runtimeNow()"
	nowJumps = "sec, nsec, mono := jumped(runtimeNow())"
)

// newClock builds a program so, with what it needs for that in a folder, and starts the clock at the true time.
func newClock(ctx context.Context, folder, module, program string) (*clock, error) {
	said, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("there is no go here to build a broker with: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(said)), "src", "time")
	source, err := os.ReadFile(filepath.Join(root, "time.go"))
	if err != nil {
		return nil, err
	}
	at := bytes.Index(source, []byte("\nfunc Now() Time {"))
	if at < 0 || !bytes.HasPrefix(bytes.TrimSpace(source[at+len("\nfunc Now() Time {"):]), []byte(nowReads)) {
		return nil, errors.New("time.Now of this version of Go is not what it was")
	}
	changed := append(bytes.Clone(source[:at]), bytes.Replace(source[at:], []byte(nowReads), []byte(nowJumps), 1)...)
	c := &clock{program: filepath.Join(folder, "with-clock")}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(root, "time.go"): filepath.Join(folder, "time.go.txt"), filepath.Join(root, "jump.go"): filepath.Join(folder, "jump.go.txt")}})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "clock")
	for name, text := range map[string][]byte{"time.go.txt": changed, "jump.go.txt": []byte(jumping), "overlay.json": overlay, "clock": make([]byte, 8)} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", filepath.Join(folder, "overlay.json"), "-trimpath", "-o", c.program, program)
	build.Dir = module
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s cannot be built so: %w: %.500s", program, err, said)
	}
	if err := os.Setenv(jumpVariable, file); err != nil {
		return nil, err
	}
	return c, c.open(file)
}

func (c *clock) open(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	c.shared, err = unix.Mmap(int(file.Fd()), 0, binary.Size(int64(0)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return err
}

// set sets the clocks of all brokers this much ahead.
func (c *clock) set(ahead time.Duration) {
	atomic.StoreInt64((*int64)(unsafe.Pointer(&c.shared[0])), int64(ahead))
}
