// Package resources tells how many descriptors and how much memory this process may have, and
// how much of that it has. It is Linux's way of telling that is read here.
package resources

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
)

// Descriptors is how many descriptors this process may have open at a time. What it may take
// without asking anybody it has taken then.
func Descriptors() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("how many descriptors there may be is not known: %w", err)
	}
	if raised := (syscall.Rlimit{Cur: limit.Max, Max: limit.Max}); limit.Cur < limit.Max && syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		limit = raised
	}
	return int(min(limit.Cur, math.MaxInt32)), nil
}

// OpenDescriptors counts those that are open. It takes a moment for each of them.
func OpenDescriptors() (int, error) {
	list, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, fmt.Errorf("what is open is not known: %w", err)
	}
	defer list.Close()
	names, err := list.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("what is open is not known: %w", err)
	}
	return len(names) - 1, nil // but for list
}

// LowestFree is the number that the next descriptor will have: all below it are taken.
func LowestFree() (int, error) {
	fd, err := syscall.Open("/", syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_DIRECTORY, 0)
	if err != nil {
		return 0, fmt.Errorf("no descriptor is free: %w", err)
	}
	_ = syscall.Close(fd)
	return fd, nil
}

// Number is the descriptor of a connection or listener, -1 for one that has none.
func Number(c any) int {
	of, ok := c.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := of.SyscallConn()
	if err != nil {
		return -1
	}
	number := -1
	_ = raw.Control(func(fd uintptr) { number = int(fd) })
	return number
}

// Shortage is what an error says that this host has none of, "" if it says nothing like that.
func Shortage(err error) string {
	for _, one := range [...]struct {
		code syscall.Errno
		what string
	}{
		{syscall.EMFILE, "descriptors"},
		{syscall.ENFILE, "descriptors of the whole system"},
		{syscall.ENOMEM, "memory"},
		{syscall.ENOBUFS, "buffers"},
		{syscall.EADDRNOTAVAIL, "ports"},
		{syscall.EAGAIN, "resources"},
	} {
		if errors.Is(err, one.code) {
			return one.what
		}
	}
	return ""
}
