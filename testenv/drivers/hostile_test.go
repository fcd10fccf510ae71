package drivers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/registration/nsgr"
)

// guarded is a broker with one registration, whose table and memory are compared
// before and after an attack.
type guarded struct {
	*broker
	table    []serviceView
	resident int // KiB
}

// inboundTimeout is what the guarded broker lets a client take for its CONNECT.
const inboundTimeout = time.Second

func startGuarded(t *testing.T) *guarded {
	t.Helper()
	b := startBroker(t, brokerOptions{parameters: []string{"INBOUND_CONNECT_TIMEOUT=1", "HOLD_TIMEOUT=0"}})
	message := builtRegistration(t, nsgr.Linux64(), shape{instance: "sales1", services: []string{"sales"}, handlers: 1})
	c := register(t, b.address, registerConnect())
	writeAll(t, c, rawData(message))
	g := &guarded{broker: b, table: tableOf(t, message)}
	b.awaitTable(t, g.table)
	g.resident = b.residentKB(t)
	return g
}

// unharmed fails the test unless the broker runs, keeps its table, and answers.
func (g *guarded) unharmed(t *testing.T) {
	t.Helper()
	if !g.running() {
		t.Fatal("the broker has ended")
	}
	g.awaitTable(t, g.table)
	if kind, text := ask(t, g.address, "(CONNECT_DATA=(COMMAND=ping))"); kind != typeRefuse || !strings.Contains(text, "(ERR=0)") {
		t.Errorf("a ping afterwards is answered with type %d and %q", kind, text)
	}
	const mostGrowth = 128 << 10 // KiB, under the race detector, which multiplies memory
	if now := g.residentKB(t); now > g.resident+mostGrowth {
		t.Errorf("memory grew from %d KiB to %d KiB", g.resident, now)
	} else {
		t.Logf("memory %d KiB, %d KiB before", now, g.resident)
	}
}

// closedWithin is how soon a connection that brings no CONNECT, or a wrong one, must
// be over: the time for a CONNECT, the time a refused client gets to read why, and
// what a loaded machine adds.
const closedWithin = inboundTimeout + 2*time.Second + 15*time.Second

// attack sends bytes and returns what came back until the broker closed. Many may run
// at a time.
func (g *guarded) attack(t *testing.T, send []byte) []byte {
	t.Helper()
	c, err := net.DialTimeout("tcp", g.address, patience)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(closedWithin))
	_, _ = c.Write(send) // the broker may close before it has read all
	said, err := discardUntilClosed(c, closedWithin)
	if err != nil {
		t.Errorf("%d bytes %.20q…: %v", len(send), send, err)
	}
	return said
}

// wrongCONNECTs are first packets that claim what is not so.
func wrongCONNECTs() map[string][]byte {
	good := rawConnect([]byte("(CONNECT_DATA=(SERVICE_NAME=sales))"))
	edited := func(edit func(p []byte)) []byte {
		p := bytes.Clone(good)
		edit(p)
		return p
	}
	return map[string][]byte{
		"length 0":                   edited(func(p []byte) { p[0], p[1] = 0, 0 }),
		"length 7":                   edited(func(p []byte) { p[0], p[1] = 0, 7 }),
		"shorter than its fields":    edited(func(p []byte) { p[0], p[1] = 0, 20 }),
		"longer than what comes":     edited(func(p []byte) { p[0], p[1] = 0xff, 0xff }),
		"data beyond the packet":     edited(func(p []byte) { p[24], p[25] = 0xff, 0xff }),
		"offset beyond the packet":   edited(func(p []byte) { p[26], p[27] = 0xff, 0xff }),
		"offset inside the header":   edited(func(p []byte) { p[26], p[27] = 0, 1 }),
		"no data":                    edited(func(p []byte) { p[24], p[25] = 0, 0 }),
		"version of no one":          edited(func(p []byte) { p[8], p[9], p[10], p[11] = 0xff, 0xff, 0xff, 0xff }),
		"type DATA":                  edited(func(p []byte) { p[4] = typeData }),
		"type 0":                     edited(func(p []byte) { p[4] = 0 }),
		"type 255":                   edited(func(p []byte) { p[4] = 255 }),
		"half a header":              good[:5],
		"half a packet":              good[:len(good)/2],
		"data that never follows":    rawConnect(bytes.Repeat([]byte("x"), 300))[:58],
		"empty DATA for ever":        append(rawConnect(bytes.Repeat([]byte("x"), 300))[:58], bytes.Repeat(rawData(nil), 1000)...),
		"a CONNECT within the data":  append(rawConnect(bytes.Repeat([]byte("x"), 300))[:58], good...),
		"more DATA than announced":   append(rawConnect(bytes.Repeat([]byte("x"), 300)), rawData(bytes.Repeat([]byte("y"), 30000))...),
		"DATA without CONNECT":       rawData([]byte("hello")),
		"a registration, no CONNECT": rawData(bytes.Repeat([]byte{0, 0, 4, 0}, 400)),
	}
}

// foreignTongues are first bytes of those who look for something else.
func foreignTongues() map[string][]byte {
	return map[string][]byte{
		"HTTP":           []byte("GET / HTTP/1.1\r\nHost: broker\r\n\r\n"),
		"TLS":            append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 506)...),
		"SSH":            []byte("SSH-2.0-OpenSSH_9.2\r\n"),
		"PROXY":          []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1234 1521\r\n"),
		"zeros":          make([]byte, 4096),
		"ones":           bytes.Repeat([]byte{0xff}, 4096),
		"newlines":       bytes.Repeat([]byte("\n"), 4096),
		"a bare bracket": []byte("(DESCRIPTION="),
	}
}

// Whatever comes instead of a CONNECT is over soon, and nothing is harmed.
func TestGarbage(t *testing.T) {
	g := startGuarded(t)
	random := rand.New(rand.NewPCG(1, 2))
	sends := wrongCONNECTs()
	for name, send := range foreignTongues() {
		sends[name] = send
	}
	for i := range 40 {
		noise := make([]byte, 1+random.IntN(5000))
		for j := range noise {
			noise[j] = byte(random.Uint32())
		}
		if i%2 == 0 && len(noise) > 8 { // as far as a plausible header
			copy(noise, []byte{byte(len(noise) >> 8), byte(len(noise)), 0, 0, typeConnect, 0, 0, 0})
		}
		sends[fmt.Sprintf("noise %d", i)] = noise
	}
	// Registrations that are admitted stay open, since only their bytes are bad.
	for _, bad := range [][]byte{bytes.Repeat([]byte{0xff}, 2000), {0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}, {0, 0, 0, 1}, make([]byte, 5000)} {
		writeAll(t, register(t, g.address, registerConnect()), rawData(bad))
	}
	var group sync.WaitGroup
	for name, send := range sends {
		group.Go(func() {
			said := g.attack(t, send)
			if bytes.Contains(said, []byte("(ERR=0)")) || len(said) > 4 && said[4] == typeAccept {
				t.Errorf("%s: accepted with %q", name, said)
			}
		})
	}
	group.Wait()
	g.unharmed(t)
}

// Who says nothing is told so, or closed upon, when the time for a CONNECT is up.
func TestSilence(t *testing.T) {
	g := startGuarded(t)
	for name, send := range map[string][]byte{"nothing": nil, "half a CONNECT": registerConnect()[:50]} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			said := g.attack(t, send)
			if took := time.Since(began); took < inboundTimeout/2 {
				t.Errorf("closed after %v already", took)
			}
			if len(said) > 0 && !bytes.Contains(said, []byte("(ERR=12525)")) {
				t.Errorf("said %q", said)
			}
		})
	}
	g.unharmed(t)
}

// refusedWith expects a REFUSE with a code as the answer to a CONNECT.
func (g *guarded) refusedWith(t *testing.T, connect []byte, codes ...string) {
	t.Helper()
	said := g.attack(t, connect)
	if len(said) < 12 || said[4] != typeRefuse {
		t.Errorf("answered with %q instead of a REFUSE", said)
		return
	}
	for _, code := range codes {
		if bytes.Contains(said, []byte("(ERR="+code+")")) {
			return
		}
	}
	t.Errorf("refused with %q, want one of %v", said[12:], codes)
}

// Descriptors beyond all measure are refused without effort.
func TestMonstrousDescriptors(t *testing.T) {
	g := startGuarded(t)
	for name, test := range map[string]struct {
		data  string
		codes []string
	}{
		"10,000 nested parentheses": {strings.Repeat("(A=", 10_000) + strings.Repeat(")", 10_000), []string{"1153"}},
		"10,000 opened":             {strings.Repeat("(", 10_000), []string{"1153"}},
		"20,000 opened":             {strings.Repeat("(A=", 20_000), []string{"1153"}},
		"8,000 siblings":            {"(CONNECT_DATA=" + strings.Repeat("(A=b)", 8_000) + ")", []string{"1153", "12504"}},
		"one quote":                 {`(CONNECT_DATA=(SERVICE_NAME="sales` + strings.Repeat("x", 50_000), []string{"1153"}},
		"nothing in it":             {"()", []string{"1153"}},
		"not a descriptor":          {"sales", []string{"1153"}},
		"no connect data":           {"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1)))", []string{"12502", "12504"}},
		"no service":                {"(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=x))))", []string{"12504"}},
		"NUL in the name":           {"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales\x00x)))", []string{"12514", "1153"}},
		"newlines in the name":      {"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=\"x\r\nlevel=ERROR msg=forged\")))", []string{"12514", "1153"}},
		"60,000 letters of name":    {"(CONNECT_DATA=(SERVICE_NAME=" + strings.Repeat("x", 60_000) + "))", []string{"12514", "1153"}},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			var group sync.WaitGroup
			for range 10 {
				group.Go(func() { g.refusedWith(t, rawConnect([]byte(test.data)), test.codes...) })
			}
			group.Wait()
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("ten of them took %v", took)
			}
		})
	}
	g.unharmed(t)
	if text, _ := g.process.Log.Read(); bytes.Contains(text, []byte("\nlevel=ERROR msg=forged")) {
		t.Error("a client writes lines of its own into the log")
	}
}

// A descriptor of a megabyte wraps the length field (tns.md 1.3) and then leaves the
// stream out of step: it is over all the same.
func TestMegabyteDescriptors(t *testing.T) {
	g := startGuarded(t)
	data := []byte("(CONNECT_DATA=(SERVICE_NAME=sales)(PAD=" + strings.Repeat("x", 1<<20) + "))")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if said := g.attack(t, rawConnect(data)); len(said) > 4 && said[4] != typeRefuse {
				t.Errorf("answered with %q", said)
			}
		})
	}
	group.Wait()
	g.unharmed(t)
}

// Many who connect and stay silent hinder no one, and are let go of.
func TestSilentCrowd(t *testing.T) {
	g := startGuarded(t)
	const crowd = 500
	open := make([]net.Conn, crowd)
	for i := range open {
		open[i] = dialRaw(t, g.address)
	}
	if kind, _ := ask(t, g.address, "(CONNECT_DATA=(COMMAND=ping))"); kind != typeRefuse {
		t.Errorf("a ping in the crowd is answered with type %d", kind)
	}
	g.unharmed(t)
	for _, c := range open {
		if said, err := discardUntilClosed(c, closedWithin); err != nil {
			t.Fatal(err)
		} else if len(said) > 0 && !bytes.Contains(said, []byte("(ERR=12525)")) {
			t.Fatalf("said %q", said)
		}
		c.Close()
	}
	g.unharmed(t)
}
