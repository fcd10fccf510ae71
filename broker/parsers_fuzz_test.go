package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"servicebroker/descriptor"
	"servicebroker/relay"
	"servicebroker/testenv/fuzzing"
)

// FuzzValues: a value that is read is within its bounds, and never below nothing.
func FuzzValues(f *testing.F) {
	for _, text := range []string{"60", "500ms", "1.5h", "1e9h", "-0", "1e-9", "100/s", "6 / min", "off", "64k", "1G", "1e15", "10.0.0.0/8", "[::1]", "::ffff:10.0.0.1%eth0", "NaN", "Inf", "0x1p-2", "1_0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDuration(text); err == nil && d < 0 {
			t.Errorf("%q is %v", text, d)
		}
		if r, err := ParseRate(text); err == nil && !(r >= 0 && r <= 1e9) {
			t.Errorf("%q is %v a second", text, r)
		}
		if n, err := ParseSize(text); err == nil && (n < 0 || n > 1<<50) {
			t.Errorf("%q is %d bytes", text, n)
		}
		if p, err := parseClients(text); err == nil && (!p.IsValid() || p != p.Masked() || p.Addr().Zone() != "") {
			t.Errorf("%q is %v", text, p)
		}
		if p, err := parseNetwork(text); err == nil && !p.IsValid() {
			t.Errorf("%q is %v", text, p)
		}
		if m, err := parseMode(text); err == nil && m == relay.ModeUnset {
			t.Errorf("%q is no mode", text)
		}
		file, line := splitWhere(text)
		if line < 0 || len(file) > len(text) {
			t.Errorf("%q is %q, line %d", text, file, line)
		}
	})
}

// checkTimes requires of a configuration that no time and no number in it is below nothing, whatever its file said.
func checkTimes(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		if v.Int() < 0 && v.Int() != -1 {
			t.Errorf("%s is %v", path, time.Duration(v.Int()))
		}
	case v.Kind() == reflect.Float64:
		if n := v.Float(); n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
			t.Errorf("%s is %v", path, n)
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		checkTimes(t, v.Elem(), path)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				checkTimes(t, v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			checkTimes(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

// FuzzParameters reads files in which each known parameter may stand with each value, beside rules and sections
// of words: it is a configuration with sound values or there is an error, in time and memory of its length.
func FuzzParameters(f *testing.F) {
	var known []string
	for _, p := range Parameters() {
		known = append(known, p.Name)
	}
	for i := range known {
		f.Add([]byte{byte(i), 0, 0, 11, byte(i + 1), 0, 3, 22, 0})
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		s := fuzzing.Read(script)
		values := append(fuzzing.Values(), "1e9h", "1e9", "(A=b)", "(x,y)", "1/s", "1e15k", "0.0000001", "(SERVICE=(NAME=sales)(HOLD_TIMEOUT=5))", "off", "(TENANT=(NAME=a)(SERVICES=b*))")
		var b strings.Builder
		b.WriteString("CMAN=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=1521))")
		if s.Bool() {
			b.WriteString("(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)(ACTION_LIST=" + fuzzing.Text(s) + fuzzing.Text(s) + ")))")
		}
		b.WriteString("(PARAMETER_LIST=")
		for range 1 + s.Below(8) {
			name := known[s.Below(min(len(known), 256))]
			value := values[s.Below(len(values))]
			if s.Below(4) == 3 {
				value = fuzzing.Text(s)
			}
			b.WriteString("(" + name + "=" + value + ")")
		}
		b.WriteString("))\n")
		if s.Below(4) == 3 {
			b.WriteString(fuzzing.File(s))
		}
		text := b.String()
		var c *Config
		var messages Messages
		fuzzing.Bounded(t, len(text)+16<<10, func() {
			c, messages = readConfig("cman.ora", "", func(path string) (string, error) {
				if path == "cman.ora" {
					return text, nil
				}
				return "", os.ErrNotExist
			})
		})
		if (c == nil) != (messages.Err() != nil) {
			t.Fatalf("config %v, messages %v", c, messages)
		}
		if c != nil {
			checkTimes(t, reflect.ValueOf(*c), "config")
			_ = newSettings(c, nil, nil)
		}
	})
}

// FuzzConvert converts what is to be a listener.ora, a tnsnames.ora or a sqlnet.ora: what comes of it can be
// loaded, or there is an error.
func FuzzConvert(f *testing.F) {
	f.Add(listenerFile, "listener.ora")
	f.Add(aliasFile, "tnsnames.ora")
	f.Add("SQLNET.INBOUND_CONNECT_TIMEOUT=5\nTCP.VALIDNODE_CHECKING=yes\n", "sqlnet.ora")
	f.Add("L=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))\nSID_LIST_L=(SID_LIST=(SID_DESC=(SID_NAME=a)(GLOBAL_DBNAME=\"x)y\")))", "x.ora")
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, text, name string) {
		if !slices.Contains([]string{"listener.ora", "sqlnet.ora"}, name) {
			name = "tnsnames.ora"
		}
		name = filepath.Join(folder, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		converted, messages := Convert(name)
		if (converted == "") != (messages.Err() != nil) {
			t.Fatalf("%q, %v", converted, messages)
		}
		if converted == "" {
			return
		}
		if _, again := readConfig("cman.ora", "", func(string) (string, error) { return converted, nil }); again.Err() != nil && !strings.Contains(again.Err().Error(), "instances") {
			t.Fatalf("%q becomes %q: %v", text, converted, again.Err())
		}
	})
}

// allNodes are all of a tree.
func allNodes(n *descriptor.Node) iter.Seq[*descriptor.Node] {
	return func(yield func(*descriptor.Node) bool) {
		var walk func(*descriptor.Node) bool
		walk = func(n *descriptor.Node) bool {
			return yield(n) && !slices.ContainsFunc(n.Children, func(child *descriptor.Node) bool { return !walk(child) })
		}
		walk(n)
	}
}

// FuzzCommands: what has a COMMAND in it anywhere is no database connect, however it is written.
func FuzzCommands(f *testing.F) {
	for _, text := range []string{"(CONNECT_DATA=(COMMAND=stop))", "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=a)(\"command\"=reload)))", `(CONNECT_DATA=(SERVICE_NAME=a)(c\=x=(comman\d=stop)))`, "(COMMAND=(COMMAND=x))"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		command := commandOf([]byte(text))
		asked, err := descriptor.Parse(text)
		if err != nil {
			if command != "" {
				t.Fatalf("%q, which cannot be read, is the command %q", text, command)
			}
			return
		}
		for n := range allNodes(asked) {
			if command == "" && strings.EqualFold(n.Name, "command") {
				t.Fatalf("%q is no command", text)
			}
		}
		if again := commandOf([]byte(asked.String())); again != command {
			t.Fatalf("%q is %q, printed %q", text, command, again)
		}
	})
}

// FuzzProxyHeader: whatever a proxy says first, what follows its header is there for whoever goes on, and
// without a header all of it; the client is whom the header names.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 10.1.1.1 10.2.2.2 4000 1521\r\nrest"), uint8(0))
	f.Add([]byte("PROXY UNKNOWN\r\nrest"), uint8(1))
	f.Add([]byte("PROXY TCP6 ::1 ::2 1 2\r\n"), uint8(2))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x01\x01\x01\x0a\x02\x02\x02\x0f\xa0\x05\xf1rest"), uint8(3))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff"), uint8(9))
	f.Add([]byte("\x00\x3a\x00\x00\x01\x00\x00\x00"), uint8(0))
	f.Fuzz(func(t *testing.T, said []byte, piece uint8) {
		for _, most := range []int{0, 1 + int(piece)} {
			client, server := fuzzing.Pipe("192.0.2.9:40000", "192.0.2.1:1521", len(said)+1, most)
			client.Offer(said)
			_ = client.CloseWrite()
			c, read, err := readProxyHeader(server)
			if err != nil && !bytes.HasPrefix(said, read) {
				t.Fatalf("%q is said to have been %q", said, read)
			}
			rest, readErr := io.ReadAll(c)
			if readErr != nil {
				t.Fatal(readErr)
			}
			switch {
			case errors.Is(err, proxyproto.ErrNoProxyProtocol):
				if !bytes.Equal(rest, said) {
					t.Fatalf("without a header %q is left of %q", rest, said)
				}
			case err == nil:
				if !bytes.HasSuffix(said, rest) || len(rest) == len(said) || c.RemoteAddr() == nil || !relay.AddrPort(c.RemoteAddr()).IsValid() {
					t.Fatalf("%q leaves %q, from %v", said, rest, c.RemoteAddr())
				}
			}
			_, _ = client.Close(), server.Close()
		}
	})
}
