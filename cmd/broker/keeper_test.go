package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAKeeperStaysAsLongAsAnyGeneration(t *testing.T) {
	r := startReal(t, nil, "--init")
	if pid := r.newest().PID; pid == r.command.Process.Pid {
		t.Fatal("the keeper serves itself")
	}
	for n := 2; n <= 3; n++ {
		says(t, []string{"--api", r.api, "upgrade"}, fmt.Sprintf("Generation %d serves", n))
	}
	if err := r.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := r.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := r.ends(); code != exitDone {
		t.Errorf("ended with %d", code)
	}
	if all := r.generations(); len(all) > 0 {
		t.Errorf("%+v go on", all)
	}
}

// Whoever follows the keeper learns how the newest generation ended, and not that there is another main process.
func TestAKeeperEndsAsTheNewestGenerationDoes(t *testing.T) {
	socket, next := notes(t)
	r := startReal(t, []string{"NOTIFY_SOCKET=" + socket}, "--init")
	if told := next("READY=1"); strings.Contains(told, "MAINPID") {
		t.Errorf("told: %s", told)
	}
	says(t, []string{"--api", r.api, "upgrade"}, "Generation 2 serves")
	if told := next("generation 2"); strings.Contains(told, "MAINPID") {
		t.Errorf("told: %s", told)
	}
	if err := syscall.Kill(r.newest().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := r.ends(); code != 128+int(syscall.SIGKILL) {
		t.Errorf("ended with %d", code)
	}
}

func TestAFamilyOfGenerations(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	tell := func(text string) {
		t.Helper()
		if _, err := unix.Write(ends[1], []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	f := family{told: ends[0], serving: []int{10}, codes: map[int]int{}}
	want := func(newest, code int) {
		t.Helper()
		if f.newest() != newest || f.code() != code {
			t.Errorf("signals go to %d, it ends with %d, want %d and %d", f.newest(), f.code(), newest, code)
		}
	}
	want(10, 0)
	tell("10\nnonsense\n1\n2")
	want(10, 0)
	tell("0\n")
	want(20, 0)
	f.codes[20] = 137 // before the one that it succeeded
	want(10, 137)
	f.codes[10] = 0
	want(0, 137)
	tell("30")
	unix.Close(ends[1]) // all have ended
	want(0, 137)
}

// processOne is how the first process of a container is started.
func processOne(t *testing.T) []string {
	t.Helper()
	tool, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("there is no unshare: install util-linux")
	}
	for _, line := range [][]string{{tool, "--pid", "--fork", "--kill-child"}, {tool, "--user", "--map-root-user", "--pid", "--fork", "--kill-child"}} {
		if exec.Command(line[0], append(line[1:], "true")...).Run() == nil {
			return line
		}
	}
	t.Skip("this user may make no namespace of processes")
	return nil
}

// children are the processes that a process has, with their states as /proc has them.
func children(t *testing.T, pid int) map[int]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	states := map[int]string{}
	for _, word := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		if stat, err := os.ReadFile(filepath.Join("/proc", word, "stat")); err == nil {
			_, after, _ := strings.Cut(string(stat), ") ")
			states[child] = after[:1]
		}
	}
	return states
}

func TestTheFirstProcessOfAContainer(t *testing.T) {
	r := startBy(t, processOne(t), nil)
	if all := r.generations(); len(all) != 1 || all[0].PID == 1 {
		t.Fatalf("%+v", all)
	}
	for n := 2; n <= 4; n++ {
		says(t, []string{"--api", r.api, "upgrade"}, fmt.Sprintf("Generation %d serves", n))
	}
	var one int
	for pid := range children(t, r.command.Process.Pid) {
		one = pid
	}
	if err := syscall.Kill(one, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if len(r.generations()) == 0 {
		t.Error("SIGHUP has ended it")
	}
	for limit := time.Now().Add(20 * time.Second); ; { // those before have ended, and nothing is left of them
		all, none := children(t, one), true
		for _, state := range all {
			none = none && state != "Z"
		}
		if len(all) == 1 && none && len(r.generations()) == 1 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%v", all)
		}
	}
	if err := syscall.Kill(one, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := r.ends(); code != exitDone {
		t.Errorf("ended with %d", code)
	}
}

func TestSocketsThatWereOpenBefore(t *testing.T) {
	t.Run("of the broker", func(t *testing.T) { socketsBefore(t, nil) })
	t.Run("of a keeper", func(t *testing.T) { socketsBefore(t, nil, "--init") })
	t.Run("of the first process of a container", func(t *testing.T) { socketsBefore(t, processOne(t)) })
}

func socketsBefore(t *testing.T, before []string, arguments ...string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	r := startActivated(t, file, before, arguments...)
	file.Close()
	l.Close()
	fresh := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // a connection that was kept would be to the generation before
	answer, err := fresh.Get("http://" + at + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("%s", answer.Status)
	}
	says(t, []string{"--api", r.api, "upgrade"}, "Generation 2 serves")
	if answer, err = fresh.Get("http://" + at + "/livez"); err != nil {
		t.Fatalf("after an upgrade: %v", err)
	}
	if answer.Body.Close(); answer.StatusCode != http.StatusOK {
		t.Errorf("after an upgrade: %s", answer.Status)
	}
	says(t, []string{"--api", r.api, "shutdown", "--abort"}, "ends now")
	if code := r.ends(); code != exitDone {
		t.Errorf("ended with %d", code)
	}
	for limit := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("tcp", at)
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(limit) {
			t.Fatal("somebody holds the socket still")
		}
	}
}

// startActivated runs the program as systemd would with a socket for its console.
func startActivated(t *testing.T, file *os.File, before []string, arguments ...string) *realBroker {
	t.Helper()
	number, err := syscall.Dup(int(file.Fd())) // which programs inherit
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(number)
	// A shell knows its process number before it becomes the program.
	script := fmt.Sprintf(`exec 3<&%d; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=console; exec "$@"`, number)
	return startBy(t, slices.Concat(before, []string{"/bin/bash", "-c", script, "sh"}), nil, arguments...)
}
