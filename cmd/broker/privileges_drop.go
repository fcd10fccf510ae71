package main

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// become makes this process, all of its threads, another user's for good, and makes sure that there is no way back. Of root's
// capabilities none is left, but for the one to bind ports below 1024 where that is wanted.
func become(a account, lowPorts bool) error {
	kept := uint32(0)
	if lowPorts {
		kept = 1 << unix.CAP_NET_BIND_SERVICE
		if err := onAllThreads(unix.PR_SET_KEEPCAPS, 1); err != nil {
			return fmt.Errorf("RUN_AS_LOW_PORTS: %w", err)
		}
	}
	boundCapabilities(kept)
	for _, step := range []func() error{
		func() error { return syscall.Setgroups(a.groups) },
		func() error { return syscall.Setresgid(a.group, a.group, a.group) },
		func() error { return syscall.Setresuid(a.user, a.user, a.user) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("this process is root, and may not become %s: %w: give it CAP_SETUID and CAP_SETGID, or start it as that user", a.name, err)
		}
	}
	if kept != 0 {
		if err := keepCapabilities(kept); err != nil {
			return fmt.Errorf("RUN_AS_LOW_PORTS: the right to ports below 1024 cannot be kept: %w", err)
		}
	}
	return noWayBack(a, kept)
}

// errWayBack is why a process that was to give up its rights must not go on.
var errWayBack = errors.New("the rights of root are not gone for good")

// noWayBack looks whether a process is what become makes of it, by trying.
func noWayBack(a account, kept uint32) error {
	if one, two, three := unix.Getresuid(); one != a.user || two != a.user || three != a.user {
		return fmt.Errorf("%w: its users are %d, %d and %d", errWayBack, one, two, three)
	}
	if one, two, three := unix.Getresgid(); one != a.group || two != a.group || three != a.group {
		return fmt.Errorf("%w: its groups are %d, %d and %d", errWayBack, one, two, three)
	}
	if syscall.Setuid(0) == nil || a.group != 0 && syscall.Setgid(0) == nil {
		return fmt.Errorf("%w: it could become root again", errWayBack)
	}
	var have [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]); err != nil {
		return fmt.Errorf("%w: %w", errWayBack, err)
	}
	if have[0].Permitted&^kept != 0 || have[1].Permitted != 0 || have[0].Effective&^kept != 0 || have[1].Effective != 0 {
		return fmt.Errorf("%w: it has capabilities %08x%08x", errWayBack, have[1].Permitted, have[0].Permitted)
	}
	return nil
}

// boundCapabilities keeps programs that are started from having any capability but those kept. Where the process may not do that,
// no_new_privs does as much.
func boundCapabilities(kept uint32) {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if c < 32 && kept&(1<<c) != 0 {
			continue
		}
		if onAllThreads(unix.PR_CAPBSET_DROP, c) != nil {
			return
		}
	}
}

// keepCapabilities are those that this process, and programs it starts, have from here on.
func keepCapabilities(kept uint32) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: kept, Permitted: kept, Inheritable: kept}}
	if _, _, failed := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0); failed != 0 {
		return failed
	}
	for c := uintptr(0); c < 32; c++ {
		if kept&(1<<c) == 0 {
			continue
		}
		if _, _, failed := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0, 0); failed != 0 {
			return failed
		}
	}
	return nil
}

// noNewPrivileges has nothing that this process starts gain a right by set-user-ID or by a file's capabilities.
func noNewPrivileges() error { return onAllThreads(unix.PR_SET_NO_NEW_PRIVS, 1) }

// coreDumps lets a crash leave an image of the memory, or not; nor may a process without privileges look into it then.
func coreDumps(wanted bool) error {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err != nil {
		return err
	}
	limit.Cur = 0 // and not Max, so that a successor may be told otherwise
	dumpable := uintptr(0)
	if wanted {
		limit.Cur, dumpable = limit.Max, 1
	}
	return errors.Join(unix.Setrlimit(unix.RLIMIT_CORE, &limit), unix.Prctl(unix.PR_SET_DUMPABLE, dumpable, 0, 0, 0))
}

// errWithCgo is why a thing that is each thread's own cannot be done in some builds.
var errWithCgo = errors.New("this program was built with cgo, in which threads cannot be told all together: build it with CGO_ENABLED=0, as make build does")

// onAllThreads sets what the system keeps for each thread apart.
func onAllThreads(option, value uintptr) error {
	switch _, _, failed := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, option, value, 0, 0, 0, 0); failed {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errWithCgo
	default:
		return failed
	}
}
