// Package crash tells what a disk may hold after a program was killed, or the power lost, at any moment of its work. The
// program is run once, and its system calls are noted; from these follows every state in which its files may be found: whatever
// was not synced may be there, in part, as zeros or not at all, and so may the names of files.
package crash

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// need skips a test where system calls cannot be noted.
func need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not here: run scripts/testdeps as root, or apt-get install strace")
	}
}

// folderVariable tells a test that it is the program.
const folderVariable = "CRASH_FOLDER"

// Writer is the program's side: nil where a test is not run as the program.
type Writer struct{ Folder string }

// Here returns the writer that this process is to be.
func Here() *Writer {
	folder := os.Getenv(folderVariable)
	if folder == "" {
		return nil
	}
	return &Writer{folder}
}

// Say notes how far the program has come. It goes by a system call of its own, so that none is taken for the program's.
func (w *Writer) Say(format string, a ...any) {
	if _, err := unix.Writev(1, [][]byte{fmt.Appendf(nil, format+"\n", a...)}); err != nil {
		panic(err)
	}
}

// program is this test, run again as the program on a folder.
func program(ctx context.Context, t testing.TB, folder string, tracer ...string) *exec.Cmd {
	arguments := append(tracer, os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.timeout=60s")
	cmd := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	cmd.Env = append(os.Environ(), folderVariable+"="+folder, "GORACE=atexit_sleep_ms=0", "GOCOVERDIR="+folder)
	return cmd
}

// Record runs the test that calls it as the program, on a folder of its own, and returns its system calls. The program has to do
// its work on one thread (runtime.LockOSThread).
func Record(t testing.TB) (*Trace, error) {
	t.Helper()
	need(t)
	folder, notes := t.TempDir(), t.TempDir()
	cmd := program(t.Context(), t, folder, "strace", "-ff", "-qq", "-o", filepath.Join(notes, "calls"), "-s", "67108864", "-xx",
		"-e", "trace=openat,write,writev,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate,close")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the program under strace: %w: %.2000s", err, said)
	}
	files, err := filepath.Glob(filepath.Join(notes, "calls*"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if bytes.Contains(text, []byte(hexed(folder+"/"))) {
			return parse(string(text), folder)
		}
	}
	return nil, errors.New("the program has touched nothing in its folder")
}

// Failure is a system call that fails once.
type Failure struct {
	Call  string   // its name
	Error string   // such as ENOSPC
	Nth   int      // of those that the program's thread makes, from 1
	Files []string // names of the files that they have to be of; the folder itself is always meant, too
}

// Fail runs the test that calls it as the program, of which one call fails. It returns what the program said, what it left in
// which folder, and whether it came to that call at all.
func Fail(t testing.TB, f Failure) (said, folder string, came bool, err error) {
	t.Helper()
	need(t)
	folder, notes := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	tracer := []string{"strace", "-f", "-qq", "-o", notes, "-e", "trace=" + f.Call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", f.Call, f.Error, f.Nth), "-P", folder}
	for _, name := range f.Files { // else calls of the runtime's own would fail
		tracer = append(tracer, "-P", filepath.Join(folder, name))
	}
	text, err := program(t.Context(), t, folder, tracer...).CombinedOutput()
	if err != nil {
		return "", "", false, fmt.Errorf("the program whose %s no. %d fails: %w: %.2000s", f.Call, f.Nth, err, text)
	}
	calls, err := os.ReadFile(notes)
	return string(text), folder, bytes.Contains(calls, []byte("(INJECTED)")), err
}

// hexed is a text as strace -xx prints it.
func hexed(text string) string {
	out := &strings.Builder{}
	for _, b := range []byte(text) {
		fmt.Fprintf(out, `\x%02x`, b)
	}
	return out.String()
}

func unhex(text string) []byte {
	out, _ := hex.DecodeString(strings.ReplaceAll(text, `\x`, ""))
	return out
}

// callLine is one call: its name, its arguments and what it returned.
var callLine = regexp.MustCompile(`^(\w+)\((.*)\)\s+= (-?\d+)`)

var quoted = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)

// parse reads what strace has noted of one thread.
func parse(text, folder string) (*Trace, error) {
	t := &Trace{}
	p := &parser{trace: t, folder: folder, open: map[int]string{}}
	for _, line := range strings.Split(text, "\n") {
		found := callLine.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		result, _ := strconv.Atoi(found[3])
		if result < 0 {
			continue
		}
		if err := p.call(found[1], found[2], result); err != nil {
			return nil, fmt.Errorf("%.200s: %w", line, err)
		}
	}
	if len(t.ops) == 0 {
		return nil, errors.New("no call in what strace has noted is of the folder")
	}
	return t, nil
}

type parser struct {
	trace  *Trace
	folder string
	open   map[int]string // name in the folder by descriptor; "." is the folder
}

// name is that of a path in the folder; false if it is elsewhere.
func (p *parser) name(path []byte) (string, bool) {
	name, err := filepath.Rel(p.folder, string(path))
	return name, err == nil && !strings.HasPrefix(name, "..")
}

func (p *parser) call(call, arguments string, result int) error {
	var texts [][]byte
	for _, q := range quoted.FindAllStringSubmatch(arguments, -1) {
		texts = append(texts, unhex(q[1]))
	}
	number, _, _ := strings.Cut(arguments, ",")
	fd, _ := strconv.Atoi(number)
	file, ours := p.open[fd]
	switch call {
	case "openat":
		if name, in := p.name(texts[0]); in {
			p.open[result] = name
			p.trace.opened(name, arguments, result)
		}
	case "close":
		delete(p.open, fd)
	case "writev":
		if fd == 1 {
			p.trace.add(op{kind: said, data: bytes.Join(texts, nil)})
		} else if ours {
			return errors.New("this call of a file is not understood")
		}
	case "write":
		if ours {
			p.trace.add(op{kind: written, fd: fd, name: file, data: texts[0][:result]})
		}
	case "fsync", "fdatasync":
		if ours {
			p.trace.add(op{kind: synced, fd: fd, name: file})
		}
	case "rename", "renameat", "renameat2":
		from, in := p.name(texts[0])
		to, alsoIn := p.name(texts[1])
		if in && alsoIn {
			p.trace.add(op{kind: renamed, name: from, to: to})
		}
	case "unlink", "unlinkat":
		if name, in := p.name(texts[0]); in {
			p.trace.add(op{kind: removed, name: name})
		}
	default:
		if ours {
			return errors.New("this call of a file is not understood")
		}
	}
	return nil
}
