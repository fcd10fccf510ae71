package packettrace

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"servicebroker/descriptor"
	"servicebroker/logfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var client = netip.MustParseAddrPort("192.0.2.7:40000")

// running are traces into a folder of their own; stop ends them.
func running(t *testing.T, change func(*Files)) (traces *Traces, stop func()) {
	files := Files{Directory: t.TempDir(), Prefix: "cman1"}
	if change != nil {
		change(&files)
	}
	traces = &Traces{Files: func() Files { return files }}
	ctx, cancel := context.WithCancel(context.Background())
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		close(begun)
		traces.Run(ctx)
	}()
	<-begun
	synctest.Wait()
	return traces, sync.OnceFunc(func() {
		cancel()
		<-ended
	})
}

func start(t *testing.T, traces *Traces, o Order) Status {
	t.Helper()
	s, err := traces.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func written(t *testing.T, s Status) string {
	t.Helper()
	text, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ascii is what a dump shows as ASCII, all lines of it.
func ascii(dump string) string {
	var all strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^  [0-9a-f]{4}  .{48} \|(.*)\|$`).FindAllStringSubmatch(dump, -1) {
		all.WriteString(m[1])
	}
	return all.String()
}

// data is one DATA packet with 32-bit lengths.
func data(payload string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(headerSize+2+len(payload)))
	return append(append(b, 6, 0, 0, 0, 0, 0), payload...)
}

func TestWhoIsTraced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces, stop := running(t, nil)
		defer stop()
		changes := 0
		traces.Changed = func() { changes++ }
		if traces.Dialogue(client, "broker", "x") != nil || traces.Session(Session{ID: 7, Client: client}) != nil {
			t.Error("somebody looks though nobody is traced")
		}
		start(t, traces, Order{Clients: netip.MustParsePrefix("192.0.2.0/24")})
		one := start(t, traces, Order{Session: 7})
		for _, c := range []struct {
			client   string
			id       uint64
			dialogue bool
			session  bool
		}{{"192.0.2.7:1", 1, true, true}, {"198.51.100.1:1", 1, false, false}, {"198.51.100.1:1", 7, false, true}} {
			at := netip.MustParseAddrPort(c.client)
			if got := traces.Dialogue(at, "broker", "x") != nil; got != c.dialogue {
				t.Errorf("%s: dialogue %v", c.client, got)
			}
			if got := traces.Session(Session{ID: c.id, Client: at}) != nil; got != c.session {
				t.Errorf("%s, session %d: %v", c.client, c.id, got)
			}
		}
		everybody := start(t, traces, Order{Clients: Everybody})
		if traces.Dialogue(netip.MustParseAddrPort("198.51.100.1:1"), "", "") == nil || traces.Dialogue(netip.MustParseAddrPort("[2001:db8::1]:1"), "", "") == nil {
			t.Error("everybody is not everybody")
		}
		if _, err := traces.Stop(everybody.ID); err != nil {
			t.Error(err)
		}
		if s, err := traces.Stop(one.ID); err != nil || s.Ended != reasonOperator {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := traces.Stop(one.ID); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		if list := traces.List(); len(list) != 3 || list[0].Ended != "" || list[1].Ended == "" || changes != 5 {
			t.Errorf("%d changes, %+v", changes, list)
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces, stop := running(t, func(f *Files) { f.Size = 2000 })
		defer stop()
		all := netip.MustParsePrefix("0.0.0.0/0")
		first := start(t, traces, Order{Clients: all, For: time.Minute})
		if info, err := os.Stat(first.File); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%v", info.Mode())
		}
		seen := traces.Dialogue(client, "broker", "client")
		for range 100 {
			seen(false, []byte{0, 12, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4})
		}
		synctest.Wait()
		if list := traces.List(); list[0].Ended != reasonFileFull || traces.active.Load() != nil {
			t.Errorf("%+v", list)
		}
		if n := len(written(t, first)); n > 2200 || n < 1500 {
			t.Errorf("%d bytes", n)
		}
		start(t, traces, Order{Clients: all, For: time.Minute})
		for range MaxActive - 1 {
			start(t, traces, Order{Clients: all})
		}
		if _, err := traces.Start(Order{Clients: all}); !errors.Is(err, ErrTooMany) {
			t.Error(err)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if list := traces.List(); list[1].Ended != reasonTimeIsUp || list[2].Ended != "" {
			t.Errorf("%+v", list[:3])
		}
		for _, o := range []Order{{}, {Clients: all, Session: 1}, {Clients: all, For: MaxFor + 1}} {
			if _, err := traces.Start(o); !errors.Is(err, ErrBadOrder) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		stop()
		if _, err := traces.Start(Order{Clients: all}); !errors.Is(err, ErrOver) {
			t.Error(err)
		}
	})
}

// TestACrowd: sessions beyond those that one trace follows are said to be missing, and come in again as others end.
func TestACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces, stop := running(t, nil)
		one := start(t, traces, Order{Clients: Everybody})
		for id := range uint64(maxFollowed + 5) {
			if got := traces.Session(Session{ID: id + 1, Client: client}) != nil; got != (id < maxFollowed) {
				t.Fatalf("session %d is followed: %v", id+1, got)
			}
		}
		traces.Over(3)
		if traces.Session(Session{ID: maxFollowed + 1, Client: client}) == nil {
			t.Error("there is room, and it is not followed")
		}
		stop()
		if text := written(t, one); strings.Count(text, "more than 1000 sessions") != 1 {
			t.Errorf("%s", text)
		}
	})
}

func TestFilesThatGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces, stop := running(t, func(f *Files) { f.Size, f.Count = 1000, 2 })
		one := start(t, traces, Order{Clients: netip.MustParsePrefix("192.0.2.7/32")})
		seen := traces.Dialogue(client, "broker", "client")
		for range 50 {
			seen(false, []byte{0, 12, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4})
		}
		stop()
		if list := traces.List(); list[0].Ended != reasonStopped || list[0].Packets != 50 {
			t.Errorf("%+v", list)
		}
		for _, path := range []string{one.File, one.File + ".1"} {
			if info, err := os.Stat(path); err != nil || info.Size() > 1000 {
				t.Errorf("%v, %v", info, err)
			}
		}
	})
}

func TestAFolderThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces, stop := running(t, func(f *Files) { f.Directory += "/none" })
		defer stop()
		if _, err := traces.Start(Order{Session: 1}); err == nil || !strings.Contains(err.Error(), "make it") || errors.Is(err, logfile.ErrStalled) {
			t.Error(err)
		}
	})
}

// TestADialogue: packets of a dialogue are whole, without secrets, however they are cut.
func TestADialogue(t *testing.T) {
	var text strings.Builder
	d := &dialogue{write: func(s string) { text.WriteString(s + "\n") }, us: "broker", peer: "client 192.0.2.7:40000"}
	small := func(kind byte, payload string) []byte {
		b := binary.BigEndian.AppendUint16(nil, uint16(headerSize+len(payload)))
		return append(append(b, 0, 0, kind, 0, 0, 0), payload...)
	}
	original := small(6, "\x00\x00(DESCRIPTION=(SECURITY=(WALLET_PASSWORD=\"ti)ger\")(X=y))(CONNECT_DATA=(SERVICE_NAME=sales)(PASS")
	kept := string(original)
	d.seen(false, original)
	d.seen(false, small(6, "\x00\x00WORD=scott)(COMMAND=password)(VALUE=lion)))"))
	d.seen(true, append(small(5, "\x00\x05"), small(6, "\x00\x40hello")...))
	if string(original) != kept {
		t.Error("the packet itself was changed")
	}
	shown := ascii(text.String())
	for _, secret := range []string{"ti)ger", "scott", "lion", "X=y"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%s is shown: %s", secret, shown)
		}
	}
	if !strings.Contains(shown, "(SERVICE_NAME=sales)") || !strings.Contains(shown, "(COMMAND=password)") {
		t.Errorf("shown %s", shown)
	}
	for _, line := range []string{"client 192.0.2.7:40000 > broker DATA, 104 bytes, flags 00\n", "broker > client 192.0.2.7:40000 REDIRECT, 10 bytes", "broker > client 192.0.2.7:40000 DATA, 15 bytes"} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("no %q in\n%s", line, text.String())
		}
	}
}

// follow shows one session to a text.
func follow(withData bool, age time.Duration) (*session, *strings.Builder) {
	text := &strings.Builder{}
	return newSession(func(s string) { text.WriteString(s + "\n") },
		Session{ID: 3, Client: client, Server: "db:1521", Version: 319, Started: time.Now().Add(-age)}, withData), text
}

func TestASessionWithoutData(t *testing.T) {
	s, text := follow(false, 0)
	s.bytes(false, data("\x03\x76 AUTH_PASSWORD tiger"))
	s.bytes(true, data("\x08answer"))
	want := regexp.MustCompile(`^\S+ \S+ session 3 192\.0\.2\.7:40000 > db:1521 DATA, 32 bytes, flags 00
  0000  00 00 00 20 06 00 00 00 {26}\|\.\.\. \.\.\.\.\|
  0008  00 00 03 76 {38}\|\.\.\.v\|
  20 bytes more
\S+ \S+ session 3 db:1521 > 192\.0\.2\.7:40000 DATA, 17 bytes, flags 00
(.*\n)+  5 bytes more
$`)
	if !want.MatchString(text.String()) {
		t.Errorf("shown\n%s", text.String())
	}
}

func TestASessionWithData(t *testing.T) {
	s, text := follow(true, 0)
	s.bytes(false, data("\x03\x76 scott AUTH_SESSKEY 123456"))
	s.bytes(true, data("AUTH_VFR_DATA abcdef"))
	s.bytes(false, data("\x03\x73 AUTH_PASSWORD 7890AB"))
	s.bytes(true, data("AUTH_SVR_RESPONSE cdef00"))
	for _, secret := range []string{"sco", "123", "abc", "789", "cdef"} {
		if shown := ascii(text.String()); strings.Contains(shown, secret) {
			t.Errorf("of the login is shown %q", shown)
		}
	}
	s.bytes(false, data("\x03\x5eselect name from staff"))
	s.bytes(true, data("\x10row SMITH"))
	if shown := ascii(text.String()); !strings.Contains(shown, "select name from staff") || !strings.Contains(shown, "row SMITH") {
		t.Errorf("shown %q", shown)
	}
	text.Reset()
	for _, b := range [][]byte{data("\x03\x5eAlter User scott iden"), data("tified by tiger"), data("more tiger")} {
		for i := range b { // whatever the pieces
			s.bytes(false, b[i:i+1])
		}
	}
	s.bytes(true, data("\x08done"))
	s.bytes(false, data("\x03\x5eselect 2"))
	shown := ascii(text.String())
	if strings.Contains(shown, "iger") || strings.Contains(shown, "scott") || !strings.Contains(shown, "done") || !strings.Contains(shown, "select 2") {
		t.Errorf("shown %q", shown)
	}
}

// TestASessionThatHasJustBegun: where the login was not seen, it is over when it surely is.
func TestASessionThatHasJustBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, text := follow(true, 3*time.Second)
		s.bytes(false, data("\x03\x5eselect early"))
		<-time.After(settled)
		s.bytes(false, data("\x03\x5eselect later"))
		if shown := ascii(text.String()); strings.Contains(shown, "early") || !strings.Contains(shown, "select later") {
			t.Errorf("shown %q", shown)
		}
		s, text = follow(true, 0) // and where it is seen, its end is
		<-time.After(2 * settled)
		s.bytes(false, data("\x03\x5eselect later"))
		if shown := ascii(text.String()); strings.Contains(shown, "later") {
			t.Errorf("shown %q", shown)
		}
	})
}

// TestASessionThatIsOpen is joined in the middle of a packet.
func TestASessionThatIsOpen(t *testing.T) {
	s, text := follow(true, time.Minute)
	s.bytes(true, []byte("the rest of some packet, longer than a header"))
	s.bytes(true, data("first"))
	s.bytes(true, append(data("second"), 0, 0, 0, 0, 99, 0, 0, 0, 1, 2, 3))
	s.bytes(true, data("third"))
	for _, want := range []string{"45 bytes in the middle of a packet", "first", "second", "no packet of this version", "3 bytes in the middle", "third"} {
		before, after, found := strings.Cut(text.String(), want)
		if !found {
			t.Fatalf("no %q in\n%s", want, text.String())
		}
		_ = before
		text.Reset()
		text.WriteString(after)
	}
}

// TestCutsDoNotMatter: what is shown of a session does not depend on how its bytes came.
func TestCutsDoNotMatter(t *testing.T) {
	times := regexp.MustCompile(`(?m)^\S+ \S+ session`)
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		for range rapid.IntRange(1, 5).Draw(t, "packets") {
			stream = append(stream, data(rapid.StringMatching(`[a-c]{0,20}(AUTH_|identified|)[a-c]{0,40}`).Draw(t, "payload"))...)
		}
		whole, wholeText := follow(true, 5*time.Second)
		whole.login, whole.ways[0].inStep = false, true
		cut, cutText := follow(true, 5*time.Second)
		cut.login, cut.ways[0].inStep = false, true
		whole.bytes(false, stream)
		for rest := stream; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			cut.bytes(false, rest[:n])
			rest = rest[n:]
		}
		hexOnly := func(b *strings.Builder) string { return times.ReplaceAllString(b.String(), "session") }
		// A text that is sensitive is known only once it is whole: its own first letters may be shown.
		letters := regexp.MustCompile(`(?i)auth_|identified|\*|[a-z.]`)
		if a, b := letters.ReplaceAllString(ascii(hexOnly(wholeText)), "."), letters.ReplaceAllString(ascii(hexOnly(cutText)), "."); a != b {
			t.Fatalf("%q and %q", a, b)
		}
		for _, text := range []string{ascii(wholeText.String()), ascii(cutText.String())} {
			if _, after, found := strings.Cut(strings.ToLower(text), "auth_"); found && strings.ContainsAny(strings.ReplaceAll(after, ".", ""), "abc") {
				t.Fatalf("after AUTH_ is shown %q", text)
			}
		}
	})
}

func FuzzSession(f *testing.F) {
	f.Add(data("\x03\x76AUTH_PASSWORD x"), 3, true)
	f.Add([]byte{0, 0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1, false)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 6, 0, 0, 0, 1}, 2, true)
	f.Fuzz(func(t *testing.T, b []byte, piece int, old bool) {
		age := time.Duration(0)
		if old {
			age = time.Minute
		}
		s, text := follow(true, age)
		kept := string(b)
		for rest := b; len(rest) > 0; {
			n := min(max(piece%64, 1), len(rest))
			s.bytes(piece%2 == 0, rest[:n])
			rest = rest[n:]
		}
		if string(b) != kept {
			t.Error("bytes were changed")
		}
		if len(text.String()) > 200+400*len(b) {
			t.Errorf("%d bytes about %d", len(text.String()), len(b))
		}
	})
}

// maskedTexts have hunter2 in secrets and nowhere else, in all ways in which a descriptor may be written.
var maskedTexts = []string{
	`(A=(PASSWORD=hunter2))`, `( PASSWORD = hunter2 )`, "(\r\n\tPASSWORD\v\n=\f\n hunter2\n)", `(PASSWORD="a\")hunter2")`, `(PASSWORD='a\')hunter2')`, `(PASSWORD="a')hunter2")`,
	`(PASSWORD="a\\\")hunter2")`, `(PASSWORD=a\)hunter2)`, `(PASSWORD=a\)hun\)ter2\)hunter2)`, `(PASSWORD=a"b"\)hunter2)`, `(PASSWORD=\"a)(PASSWORD=hunter2)`,
	`(SECURITY=(A=(x"y,"z)))hunter2")))`, `(SECURITY=(A=b),(hunter2,c))`, `(SECURITY=((A=b)(C=hunter2)))`, `(SECURITY=(A=")")(B=hunter2))`,
	`(COMMAND=password)(VALUE =hunter2)`, `(A=(COMMAND=password)(VALUE =hunter2))`, `(A=("VALUE"=hunter2)(COMMAND=password))`, `(A=( 'value' =hunter2)(COMMAND=password))`, `(A=(COMMAND=passwd)(VALUE=(x,hunter2)))`,
	`("PASSWORD"=hunter2)`, `("a=PASSWORD"=hunter2)`, `('a)PASSWORD' = hunter2)`, `("a(b=PASSWORD"=hunter2)`, `("PASSWORD(a"=hunter2)`, `("a\"=PASSWORD"=hunter2)`, `(a\=PASSWORD=hunter2)`, `(a\)PASSWORD=hunter2)`, `(PASSWORD\(a=hunter2)`,
	`(A=("(")("a=PASSWORD"=hunter2))`, `(A=(B="(")("a=PASSWORD"=hunter2))`, `(A=(x,"(")("a=PASSWORD"=hunter2))`, `(A=(B=\()("a=PASSWORD"=hunter2))`,
	`(PASSWORD` + strings.Repeat("_A", 99) + `=hunter2)`, `(` + strings.Repeat("A_", 99) + `PASSWORD=hunter2)`, `(paſſword_` + strings.Repeat("A", 57) + `=hunter2)`,
	`(A=(B=O'Brien)(PASSWORD=it's)(TOKEN='hunter2'))`,
	"\x00\x28\x22\x00\x3d(DESCRIPTION=(PASSWORD=hunter2))", "\x28\x3d\x27(DESCRIPTION=(PASSWORD=hunter2))", "\x28\\(DESCRIPTION=(PASSWORD=hunter2))", // what a packet has before its text
}

func TestMaskedTexts(t *testing.T) {
	for _, text := range maskedTexts {
		b := []byte(text)
		(&textMask{}).hide(b)
		if strings.Contains(string(b), "ter2") {
			t.Errorf("%q is shown as %q", text, b)
		}
	}
}

// secretBytes counts, in what the parser reads of a text as secrets, the bytes that mean nothing in a descriptor.
func secretBytes(text string) (count [256]int) {
	root, err := descriptor.Parse(text)
	if err != nil {
		return count
	}
	var all func(n *descriptor.Node)
	all = func(n *descriptor.Node) {
		for _, c := range []byte(n.Value) {
			count[c]++
		}
		for _, child := range n.Children {
			for _, c := range []byte(child.Name) {
				count[c]++
			}
			all(child)
		}
	}
	var walk func(n, masked *descriptor.Node)
	walk = func(n, masked *descriptor.Node) {
		if masked.Value == descriptor.Masked {
			all(n)
			return
		}
		for i := range n.Children {
			walk(n.Children[i], masked.Children[i])
		}
	}
	walk(root, descriptor.Mask(root))
	for _, c := range []byte("()=,'\"\\*# \t\r\n\v\f") {
		count[c] = 0
	}
	return count
}

func FuzzTextMask(f *testing.F) {
	for _, text := range append(maskedTexts, "(A=(PASSWORD=x)(B=c))", `(WALLET="a)b")(S=t)`, "(PASSWORD=", "((((SECRET=))))", "=)('", `(A="(TOKEN=\")(B=x)")`) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := []byte(text)
		(&textMask{}).hide(b)
		if len(b) != len(text) {
			t.Fatal("length changed")
		}
		again := append([]byte(nil), text...)
		m := &textMask{}
		for i := range again { // byte by byte is the same
			m.hide(again[i : i+1])
		}
		if string(again) != string(b) {
			t.Errorf("%q and %q", again, b)
		}
		for c, n := range secretBytes(text) {
			if shown, elsewhere := bytes.Count(b, []byte{byte(c)}), strings.Count(text, string([]byte{byte(c)}))-n; n > 0 && shown > elsewhere {
				t.Errorf("%q has %d times %q in secrets, and %q shows %d of these", text, n, rune(c), b, shown-elsewhere)
				break
			}
		}
		secret := fmt.Sprintf("(CONNECT_DATA=(PASSWORD=hunter2)(X=%s))", "y")
		c := []byte(secret)
		(&textMask{}).hide(c)
		if strings.Contains(string(c), "hunter2") || !strings.Contains(string(c), "(X=y)") {
			t.Errorf("%s", c)
		}
	})
}
