package ttc

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the recorded sessions decode to as what is expected")

// Sessions of real drivers, recorded with a server of this package: every byte
// that drivers sent must be understood, and mean what the .txt file beside
// says. What they were answered, and understood, must still be said so.
func TestRecordedSessions(t *testing.T) {
	for _, file := range recordedFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".hex")
		t.Run(name, func(t *testing.T) {
			turns, fieldVersion := readRecorded(t, file)
			l := newListener(fieldVersion)
			s := &speaker{l: l, cells: map[uint32][]Cell{}}
			for i, turn := range turns {
				if err := l.listen(turn.request); err != nil {
					t.Fatalf("turn %d: error %v after\n%s", i, err, l.out.String())
				}
				got, err := s.repeat(turn.answer)
				if err != nil || !bytes.Equal(got, turn.answer) {
					t.Fatalf("turn %d, after\n%s\nerror %v, the answer would now be\n% x\nand was\n% x", i, l.out.String(), err, got, turn.answer)
				}
			}
			checkGolden(t, strings.TrimSuffix(file, ".hex")+".txt", l.out.String())
		})
	}
}

func recordedFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/recorded/*.hex")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d recorded sessions, error %v", len(files), err)
	}
	return files
}

func checkGolden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := compare(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("decoded differs (-want +got):\n%s", diff)
	}
}

// turn is what the client said until the server spoke, and what that said.
type turn struct {
	request [][]byte // payloads
	answer  []byte
}

// readRecorded reads a recorded session.
func readRecorded(t testing.TB, file string) (turns []turn, fieldVersion byte) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "server "):
			n, err := strconv.Atoi(line[len("server "):])
			if err != nil {
				t.Fatal(err)
			}
			fieldVersion = byte(n)
		case strings.HasPrefix(line, "< "):
			last := &turns[len(turns)-1]
			last.answer = append(last.answer, expand(t, line[2:])...)
		case len(turns) == 0 || turns[len(turns)-1].answer != nil:
			turns = append(turns, turn{request: [][]byte{expand(t, line)}})
		default:
			last := &turns[len(turns)-1]
			last.request = append(last.request, expand(t, line))
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return turns, fieldVersion
}

func expand(t testing.TB, line string) []byte {
	var payload []byte
	for _, field := range strings.Fields(line) {
		digits, count, repeated := strings.Cut(field, "*")
		b, err := hex.DecodeString(digits)
		n := 1
		if err == nil && repeated {
			n, err = strconv.Atoi(count)
		}
		if err != nil {
			t.Fatalf("recorded line %.60q: %v", line, err)
		}
		payload = append(payload, bytes.Repeat(b, n)...)
	}
	return payload
}

// recordedCursor is what a re-execute of a cursor needs to know.
type recordedCursor struct {
	binds []Bind
	plsql bool
}

// listener decodes what a client says and writes down what it means.
type listener struct {
	server  Capabilities
	dialect Dialect
	binds   map[uint32]recordedCursor
	last    uint32 // number of the newest cursor, as the server counted
	out     strings.Builder
	r       *Reader

	// What the answer to the last message depends on.
	code    MessageCode
	asked   Function
	types   DataTypes
	cursor  uint32
	defines []Bind
	lob     LOBCall
	login   Auth
	counts  bool
}

func newListener(fieldVersion byte) *listener {
	return &listener{server: ServerCapabilities(fieldVersion, false), binds: map[uint32]recordedCursor{}}
}

// listen decodes all messages in payloads.
func (l *listener) listen(payloads [][]byte) error {
	l.r = NewStreamReader(func() ([]byte, error) {
		if len(payloads) == 0 {
			return nil, io.EOF
		}
		piece := payloads[0]
		payloads = payloads[1:]
		return piece, nil
	})
	for {
		l.r.Begin()
		code := MessageCode(l.r.Byte())
		if errors.Is(l.r.Err(), io.EOF) {
			return nil
		}
		l.message(code)
		if err := l.r.Err(); err != nil {
			return err
		}
	}
}

func (l *listener) say(format string, args ...any) { fmt.Fprintf(&l.out, format+"\n", args...) }

func (l *listener) message(code MessageCode) {
	l.code = code
	switch code {
	case MessageNativeServices:
		var m NativeServices
		m.Decode(l.r)
		l.say("native services: %d", len(m.Services))
	case MessageProtocol:
		var m Protocol
		m.Decode(l.r)
		l.say("protocol %v", m.Versions)
	case MessageDataTypes:
		var m DataTypes
		m.Decode(l.r)
		l.agree(&m)
	case MessageFastAuth:
		var m FastAuth
		m.Decode(l.r, l.server)
		l.say("fast authentication, login in field version %d", m.FieldVersion)
		l.agree(&m.DataTypes)
		l.auth(&m.Login)
	case MessageFunction, MessagePiggyback, MessageOneWay:
		var h Header
		h.Decode(l.r, code, l.dialect)
		l.function(h)
	default:
		l.r.malformed("message %d", code)
	}
}

func (l *listener) agree(m *DataTypes) {
	l.types = *m
	l.dialect = Negotiate(l.server, m)
	l.say("data types: %d, national character set %d, time zone %v; %+v", len(m.Types), m.NationalCharset, m.TimeZone != nil, l.dialect)
}

func (l *listener) auth(m *Auth) {
	l.login = *m
	var keys []string
	for _, p := range m.Pairs {
		keys = append(keys, p.Key)
	}
	l.say("  login of %s, mode %#x: %s", m.User, m.Mode, strings.Join(keys, " "))
}

func (l *listener) function(h Header) {
	l.asked = h.Function
	l.say("%s%v", map[MessageCode]string{MessagePiggyback: "piggyback ", MessageOneWay: "one way "}[h.Message], h.Function)
	simple := map[Function]interface{ Decode(*Reader, Dialect) }{
		FunctionCloseCursors: new(Cursors), FunctionCancelCursors: new(Cursors),
		FunctionSetSchema: new(SetSchema), FunctionKeyValues: new(KeyValues),
		FunctionVersion: new(VersionCall), FunctionAlterSession: new(AlterSession),
	}
	switch h.Function {
	case FunctionAuthOne, FunctionAuthTwo:
		var m Auth
		m.Decode(l.r, l.dialect)
		l.auth(&m)
	case FunctionExecute:
		l.execute()
	case FunctionFetch:
		var m Fetch
		m.Decode(l.r, l.dialect)
		l.say("  %+v", m)
		l.cursor, l.defines = m.Cursor, nil
	case FunctionReexecute, FunctionReexecuteFetch:
		var m Reexecute
		m.Decode(l.r, l.dialect)
		l.say("  %+v", m)
		l.cursor, l.defines = m.Cursor, nil
		rows := m.Iterations
		if h.Function == FunctionReexecuteFetch {
			rows = 1
		}
		l.rows(l.binds[m.Cursor], rows)
	case FunctionLOB:
		var m LOBCall
		m.Decode(l.r, l.dialect)
		l.lob = m
		l.say("  operation %#x, %d bytes of locator, offset %d, amount %d, %d bytes of data", uint32(m.Operation), len(m.Source), m.SourceOffset, m.Amount, len(m.Data))
	case FunctionEndToEnd:
		var m EndToEnd
		m.Decode(l.r, l.dialect)
		if m.Module != nil {
			l.say("  module %s", *m.Module)
		}
	case FunctionCommit, FunctionRollback, FunctionPing, FunctionLogoff:
	default:
		body, known := simple[h.Function]
		if !known {
			l.r.malformed("%v", h.Function)
			return
		}
		body.Decode(l.r, l.dialect)
		l.say("  %+v", body)
	}
}

func (l *listener) execute() {
	var m Execute
	m.Decode(l.r, l.dialect)
	if m.Cursor == 0 {
		l.last++
		m.Cursor = l.last
	}
	l.cursor, l.defines, l.counts = m.Cursor, m.Defines, m.RowCounts
	l.say("  options %#x, cursor %d, %d rows wanted, %d iterations, query %v, row counts %v, flags %#x", m.Options, m.Cursor, m.Wanted(), m.Iterations, m.IsQuery, m.RowCounts, m.Flags)
	if len(m.SQL) > 0 {
		l.say("  %s", m.SQL)
		l.binds[m.Cursor] = recordedCursor{}
	}
	for _, b := range m.Defines {
		l.say("  define type %d, size %d, form %d, prefetch %v %d", b.Type, b.Size, b.Form, b.Continuation&LOBPrefetch != 0, b.Prefetch)
	}
	for _, b := range m.Binds {
		l.say("  bind type %d, flags %#x, size %d, form %d", b.Type, b.Flags, b.Size, b.Form)
	}
	if len(m.Binds) > 0 {
		l.binds[m.Cursor] = recordedCursor{binds: m.Binds, plsql: m.Options&OptionNotPLSQL == 0}
	}
	if m.Options&OptionExecute == 0 {
		return
	}
	rows := m.Iterations
	if m.IsQuery {
		rows = 1
	}
	l.rows(l.binds[m.Cursor], rows)
}

func (l *listener) rows(c recordedCursor, n uint32) {
	layout := BindRow{Binds: c.binds, PLSQL: c.plsql}
	for i := uint32(0); i < n && !layout.Empty() && l.r.Err() == nil; i++ {
		var shown []string
		for k, v := range layout.Decode(l.r, l.dialect) {
			shown = append(shown, showBind(c.binds[k], v.Bytes))
		}
		l.say("  row %s", strings.Join(shown, ", "))
	}
}

func showBind(b Bind, value []byte) string {
	switch {
	case value == nil:
		return "NULL"
	case len(value) > 100:
		return fmt.Sprintf("%d bytes", len(value))
	case b.Type.Base() == TypeNumber:
		n, err := DecodeNumber(value)
		if err != nil {
			return err.Error()
		}
		return n
	case b.Type.isLOB():
		return fmt.Sprintf("locator of %d bytes", len(value))
	}
	return fmt.Sprintf("%q", Characters(value, b.Form))
}

// FuzzSessions decodes what recorded sessions turn into: whatever comes, in
// any dialect, ends in an error or at the end, not in a panic.
func FuzzSessions(f *testing.F) {
	for i, file := range recordedFiles(f) {
		turns, _ := readRecorded(f, file)
		for _, turn := range turns {
			if request := bytes.Join(turn.request, nil); len(request) < 2000 {
				f.Add(byte(i), request)
			}
		}
	}
	f.Fuzz(func(t *testing.T, choice byte, data []byte) {
		l := newListener(12)
		l.dialect, l.r = fuzzDialect(choice), NewReader(data)
		for l.r.Err() == nil && l.r.Buffered() > 0 {
			before := l.r.Buffered()
			l.message(MessageCode(l.r.Byte()))
			if l.r.Buffered() >= before {
				t.Fatal("a message takes no bytes")
			}
		}
	})
}
