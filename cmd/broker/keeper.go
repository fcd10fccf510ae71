package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// keeperVariable is the environment variable that tells a broker the number of the file by which its keeper learns which
// process serves.
const keeperVariable = "SERVICEBROKER_KEEPER"

// needsKeeper tells whether this process has to stay for as long as any generation lives: whoever started it follows it alone,
// as a container does with its first process.
func (c *serveCommand) needsKeeper() bool {
	return os.Getenv(keeperVariable) == "" && (c.Init || os.Getpid() == 1)
}

// socketsVariable is the environment variable that tells a broker of the sockets that its keeper was started with: the number
// of the first, and their names, with : in between. LISTEN_FDS cannot, since it is for a process whose number is known before.
const socketsVariable = "SERVICEBROKER_SOCKETS"

// keep starts the broker as another process, passes signals on to whichever generation serves, and returns the exit code of that
// once all have ended.
func keep() (int, error) {
	self, err := thisProgram()
	if err != nil {
		return exitNo, err
	}
	// Generations whose parent has ended become children of this process.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return exitNo, fmt.Errorf("generations cannot be followed: %w", err)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(signals)
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return exitNo, err
	}
	defer unix.Close(ends[0])
	tell := os.NewFile(uintptr(ends[1]), "keeper")
	first := self.command(map[string]*os.File{keeperVariable: tell})
	sockets := activation.Files(true)
	passSockets(first, sockets)
	err = first.Start()
	_ = tell.Close()
	for _, file := range sockets { // else nobody would be refused once the broker listens no more
		_ = file.Close()
	}
	if err != nil {
		return exitNo, err
	}
	all := family{told: ends[0], serving: []int{first.Process.Pid}, codes: map[int]int{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		all.reap()
	}()
	for {
		select {
		case s := <-signals:
			if pid := all.newest(); pid != 0 {
				_ = syscall.Kill(pid, s.(syscall.Signal))
			}
		case <-ended:
			return all.code(), nil
		}
	}
}

// passSockets lets a program that is about to be started have the sockets that this one was started with.
func passSockets(c *exec.Cmd, all []*os.File) {
	if len(all) == 0 {
		return
	}
	words := []string{strconv.Itoa(3 + len(c.ExtraFiles))}
	for _, file := range all {
		words = append(words, file.Name())
	}
	c.ExtraFiles = append(c.ExtraFiles, all...)
	c.Env = append(c.Env, socketsVariable+"="+strings.Join(words, ":"))
}

// passedSockets are those of passSockets. The environment does not name them any more afterwards.
func passedSockets() (all []*os.File) {
	number, names, found := strings.Cut(os.Getenv(socketsVariable), ":")
	_ = os.Unsetenv(socketsVariable)
	first, err := strconv.Atoi(number)
	if !found || err != nil || first < 3 {
		return nil
	}
	for n, name := range strings.Split(names, ":") {
		syscall.CloseOnExec(first + n)
		all = append(all, os.NewFile(uintptr(first+n), name))
	}
	return all
}

// family are the processes that a keeper has to do with.
type family struct {
	told int // the end of a pipe: each generation writes its number there before anybody can know that it serves

	mu      sync.Mutex
	serving []int       // those that have done so, the newest last
	codes   map[int]int // of those that have ended
	word    []byte      // what has come of a number
}

// hear reads what is told; callers hold mu.
func (f *family) hear() {
	buffer := make([]byte, 4096)
	for {
		n, err := unix.Read(f.told, buffer)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return
		}
		for _, c := range buffer[:n] {
			if c != '\n' {
				f.word = append(f.word, c)
				continue
			}
			if pid, err := strconv.Atoi(string(f.word)); err == nil && pid > 1 {
				f.serves(pid)
			}
			f.word = f.word[:0]
		}
	}
}

// serves notes that a process does; callers hold mu.
func (f *family) serves(pid int) {
	f.serving = append(slices.DeleteFunc(f.serving, func(one int) bool { return one == pid }), pid)
}

// newest is the one that serves, or an older one if that has ended before it; 0: there is none.
func (f *family) newest() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hear()
	for _, pid := range slices.Backward(f.serving) {
		if _, over := f.codes[pid]; !over {
			return pid
		}
	}
	return 0
}

// code is how the newest has ended.
func (f *family) code() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hear()
	return f.codes[f.serving[len(f.serving)-1]]
}

// reap waits for all children, those of others that were left to this process among them.
func (f *family) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return
		}
		f.mu.Lock()
		f.hear()
		f.codes[pid] = status.ExitStatus()
		if status.Signaled() {
			f.codes[pid] = 128 + int(status.Signal())
		}
		f.mu.Unlock()
	}
}
