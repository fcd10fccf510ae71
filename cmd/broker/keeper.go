package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"

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
	told, tell, err := os.Pipe()
	if err != nil {
		return exitNo, err
	}
	defer told.Close()
	first := self.command(map[string]*os.File{keeperVariable: tell})
	err = first.Start()
	_ = tell.Close()
	if err != nil {
		return exitNo, err
	}
	var serving atomic.Int64
	serving.Store(int64(first.Process.Pid))
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for lines := bufio.NewScanner(told); lines.Scan(); {
			if pid, err := strconv.Atoi(lines.Text()); err == nil && pid > 1 {
				serving.Store(int64(pid))
			}
		}
	}()
	ended := make(chan map[int]int, 1)
	go func() { ended <- reap() }()
	for {
		select {
		case s := <-signals:
			_ = syscall.Kill(int(serving.Load()), s.(syscall.Signal))
		case codes := <-ended:
			<-heard // every process that could write has ended
			return codes[int(serving.Load())], nil
		}
	}
}

// reap waits for all children, those of others that were left to this process among them, and returns their exit codes.
func reap() map[int]int {
	codes := map[int]int{}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return codes
		case status.Signaled():
			codes[pid] = 128 + int(status.Signal())
		default:
			codes[pid] = status.ExitStatus()
		}
	}
}
