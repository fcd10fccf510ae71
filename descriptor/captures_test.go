package descriptor

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// captured returns the files of packets recorded from real drivers and databases, or skips the test where they are not at
// hand.
func captured(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "shared", "captures", filepath.FromSlash(pattern)))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no captures: there is no ../shared/captures/%s beside the module", pattern)
	}
	return files
}

// connectText takes the connect data out of packets, one a line in hex: a CONNECT and the DATA that carries what does not
// fit into it (tns.md 1.2 to 1.4).
func connectText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	for line := range strings.FieldsSeq(string(text)) {
		packet, err := hex.DecodeString(line)
		if err != nil || len(packet) < 10 {
			t.Fatalf("%s: %q is no packet: %v", file, line, err)
		}
		packets = append(packets, packet)
	}
	if len(packets) == 0 || len(packets[0]) < 28 || packets[0][4] != 1 {
		t.Fatalf("%s does not begin with a CONNECT", file)
	}
	connect := packets[0]
	length, offset := int(binary.BigEndian.Uint16(connect[24:])), int(binary.BigEndian.Uint16(connect[26:]))
	data := connect[min(offset, len(connect)):]
	for _, more := range packets[1:] {
		data = append(data, more[10:]...)
	}
	if len(data) != length {
		t.Fatalf("%s: %d bytes of connect data, its header says %d", file, len(data), length)
	}
	return string(data)
}

func TestCapturedConnectDataIsPrintedAsItCame(t *testing.T) {
	for _, file := range captured(t, "connect/*.hex") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".hex"), func(t *testing.T) {
			text := connectText(t, file)
			n := parsed(t, text)
			withoutBlanks := strings.Join(strings.Fields(text), "")
			if got := strings.Join(strings.Fields(n.String()), ""); got != withoutBlanks {
				t.Errorf("%s is printed %s", text, got)
			}
			if got := Mask(n).String(); strings.Contains(text, "SECURITY") == (got == n.String()) {
				t.Errorf("masked as %s", got)
			}
			data := ConnectData(n)
			if asks := data.Text("SERVICE_NAME") + data.Text("SID") + data.Text("COMMAND"); asks == "" && !strings.Contains(file, "noservice") {
				t.Errorf("%s asks for nothing", text)
			}
			if want := strings.Contains(file, "sourceroute"); SourceRoute(n) != want {
				t.Errorf("SourceRoute is %t", !want)
			}
			if a, err := n.Address(); err != nil || a.Port == 0 {
				t.Errorf("its address is %v, %v", a, err)
			}
		})
	}
}

// What databases say of themselves in a registration: addresses and hosts, each text ended by a NUL.
func TestCapturedRegistrationTexts(t *testing.T) {
	addresses := regexp.MustCompile(`\((?:ADDRESS|DESCRIPTION)=[^\x00]*\)\x00`)
	hosts := regexp.MustCompile(`\(HOST=[^()\x00]*\)\x00`)
	found := 0
	for _, file := range captured(t, "nsgr/*.bin") {
		packet, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range addresses.FindAllString(string(packet), -1) {
			found++
			a, err := ParseAddress(text)
			if err != nil || a.Host != strings.TrimSpace(a.Host) || a.Host == "" || a.Port == 0 || !strings.EqualFold(a.Protocol, "tcp") {
				t.Errorf("%s: %q is read as %v, %v", filepath.Base(file), text, a, err)
			}
		}
		for _, text := range hosts.FindAllString(string(packet), -1) {
			found++
			if n := parsed(t, text); n.Name != "HOST" || n.Value == "" || strings.TrimSpace(n.Value) != n.Value {
				t.Errorf("%s: %q is read as %q", filepath.Base(file), text, n.Value)
			}
		}
	}
	if found == 0 {
		t.Error("no addresses in any registration")
	}
}
