package hardened

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"servicebroker/testenv/stage"
)

// filterVariable has this test's program run another one that may ask for nothing but what the file it names lists.
const filterVariable = "HARDENED_TEST_SYSCALLS"

// confined runs the program of its arguments under a filter. It returns if it cannot.
func confined(list string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	var numbers []uint32
	for _, word := range strings.Fields(string(text)) {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return err
		}
		numbers = append(numbers, uint32(n))
	}
	filter, err := filterFor(numbers)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the filter is this thread's, which becomes the program
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program))); failed != 0 {
		return failed
	}
	return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
}

// filterFor is a filter that ends a process that makes any other system call.
func filterFor(numbers []uint32) ([]unix.SockFilter, error) {
	machines := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}
	const numberAt, machineAt = 0, 4 // in struct seccomp_data
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: machineAt, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: machines[runtime.GOARCH], SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: numberAt, Size: 4},
	}
	for _, n := range numbers {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpEqual, Val: n, SkipFalse: 1}, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
	}
	raw, err := bpf.Assemble(append(code, bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS}))
	var filter []unix.SockFilter
	for _, r := range raw {
		filter = append(filter, unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K})
	}
	return filter, err
}

// granted are the system calls that a unit grants, by what systemd itself says is in its groups.
func granted(t *testing.T, unit string) map[string]bool {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: run scripts/testdeps as root, or apt-get install systemd")
	}
	var resolve func(name string) []string
	resolve = func(name string) (all []string) {
		if !strings.HasPrefix(name, "@") {
			return []string{name}
		}
		said, err := exec.Command(analyze, "syscall-filter", "--no-pager", name).Output()
		must(t, err)
		for line := range strings.Lines(string(said)) {
			if word := strings.TrimSpace(line); strings.HasPrefix(line, " ") && !strings.HasPrefix(word, "#") {
				all = append(all, resolve(word)...)
			}
		}
		return all
	}
	text, err := os.ReadFile(unit)
	must(t, err)
	all := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^SystemCallFilter=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		list, without := strings.CutPrefix(line[1], "~")
		for _, group := range strings.Fields(list) {
			for _, name := range resolve(group) {
				if without {
					delete(all, name)
				} else {
					all[name] = true
				}
			}
		}
	}
	return all
}

// numbersOf are the numbers by which this machine knows system calls; those that it has not are left out.
func numbersOf(t *testing.T, names map[string]bool) string {
	t.Helper()
	folder, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	must(t, err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(folder)), "zsysnum_linux_"+runtime.GOARCH+".go"))
	must(t, err)
	var numbers []string
	for _, m := range regexp.MustCompile(`(?m)^\s*SYS_(\w+)\s*=\s*(\d+)`).FindAllStringSubmatch(string(text), -1) {
		if names[strings.ToLower(m[1])] {
			numbers = append(numbers, m[2])
		}
	}
	if len(numbers) < 100 {
		t.Fatalf("there are %d numbers for %d names", len(numbers), len(names))
	}
	return strings.Join(numbers, "\n")
}

// What the unit grants is enough for all that a broker does: it ends at once if it asks for anything else.
func TestUnitsGrantEnough(t *testing.T) {
	names := granted(t, "../../deploy/systemd/servicebroker.service")
	for _, not := range []string{"io_uring_setup", "ptrace", "process_vm_readv", "userfaultfd", "keyctl", "add_key", "bpf", "mount", "unshare", "setns", "setuid", "chown", "mknod", "chroot", "kexec_load", "init_module", "perf_event_open", "personality"} {
		if names[not] {
			t.Errorf("the unit grants %s", not)
		}
	}
	i := newInstance(t)
	must(t, os.Mkdir(i.path("logs"), 0o700))
	certificate, trusting := i.certify()
	i.configure([]string{"tcp 15521", "tcps 15522"}, certificate, "(LOG_DIRECTORY="+i.path("logs")+")(TRACE_DIRECTORY="+i.path("logs")+")(LOG_FILE_SIZE=1)",
		"(DNS_ADDRESS="+i.host+":15553)(DNS_ZONE=db.example.com)(DNS_DNSSEC=on)(METRICS_ADDRESS="+i.host+":15554)(PROBE_INTERVAL=1)(BANDWIDTH=1G)")
	i.start(`msg="broker started"`, i.limited(names)...)
	i.database("15521")
	i.does("trace", "--client", "*")
	for range 2 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.newest()))
		must(t, err)
		if !regexp.MustCompile(`(?m)^Seccomp:\s+2$`).Match(status) {
			t.Errorf("there is no filter:\n%s", status)
		}
		i.serves("15521", nil)
		i.serves("15522", trusting)
		i.broken("15521")
		i.broken("15522")
		ask(t, i.host+":15553")
		for path, want := range map[string]string{"/metrics": "servicebroker_", "/readyz": ""} {
			if said := i.get("http://" + i.host + ":15554" + path); !strings.Contains(said, want) {
				t.Errorf("%s: %s", path, said)
			}
		}
		i.does("explain", "sales")
		i.does("drain", "--service", "nosuch")
		i.does("reload")
		i.does("upgrade")
	}
	if trouble := i.Trouble(); trouble != "" {
		t.Error(trouble)
	}
	i.does("shutdown", "--abort")
}

// limited is what runs a program with no other system calls than those.
func (i *instance) limited(names map[string]bool) []string {
	i.t.Helper()
	self, err := os.Executable()
	must(i.t, err)
	return []string{"env", filterVariable + "=" + i.write("syscalls", numbersOf(i.t, names)), self}
}

// A list that lacks one of them ends the broker, so that the test above would notice.
func TestFilterIsOne(t *testing.T) {
	names := maps.Clone(granted(t, "../../deploy/systemd/servicebroker.service"))
	delete(names, "listen")
	i := newInstance(t)
	i.configure([]string{"tcp 0"})
	before := i.limited(names)
	process, err := stage.Start("broker", before[0], slices.Concat(before[1:], []string{filepath.Join(bin, "broker"), "serve", "-c", i.path("cman.ora")})...)
	must(t, err)
	t.Cleanup(process.Kill)
	<-process.Exited()
	if status := process.State().Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGSYS {
		t.Errorf("it ended with %v", process.State())
	}
}
