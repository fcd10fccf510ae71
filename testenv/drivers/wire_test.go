package drivers

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// This file has the few bytes of Oracle Net that raw clients in these tests
// speak, written down apart from the broker's own codec so that the two can disagree.

// Packet types, tns.md 1.1.
const (
	typeConnect  = 1
	typeAccept   = 2
	typeRefuse   = 4
	typeRedirect = 5
	typeData     = 6
)

// rawPacket frames a body with the 16-bit length of everything before an ACCEPT.
func rawPacket(kind byte, body []byte) []byte {
	p := binary.BigEndian.AppendUint16(nil, uint16(8+len(body)))
	p = append(p, 0, 0, kind, 0, 0, 0)
	return append(p, body...)
}

// rawData frames a payload as DATA.
func rawData(payload []byte) []byte {
	return rawPacket(typeData, append([]byte{0, 0}, payload...))
}

// rawConnect is the CONNECT of an old administrative client, version 310, with its data
// at offset 58 (tns.md 1.2, 10.1). Data of more than 230 bytes follows in DATA
// packets (tns.md 1.3).
func rawConnect(data []byte) []byte {
	fixed := []byte{
		0x01, 0x36, 0x01, 0x2c, 0x0c, 0x41, 0x08, 0x00, 0x7f, 0xff, 0x7f, 0x08, 0x00, 0x00, 0x01, 0x00,
		byte(len(data) >> 8), byte(len(data)), 0x00, 0x3a, 0x00, 0x00, 0x08, 0x00, 0x41, 0x41,
	}
	fixed = append(fixed, make([]byte, 58-8-len(fixed))...)
	if len(data) <= 230 {
		return rawPacket(typeConnect, append(fixed, data...))
	}
	p := rawPacket(typeConnect, fixed)
	for len(data) > 0 {
		n := min(len(data), 8000)
		p = append(p, rawData(data[:n])...)
		data = data[n:]
	}
	return p
}

// registerCommand is the connect data by which a database registers (nsgr.md 2).
const registerCommand = "(CONNECT_DATA=(COMMAND=service_register_NSGR))"

// registerConnect is the CONNECT of a real database, nsgr.md 2.1.
func registerConnect() []byte {
	fixed := []byte{
		0x01, 0x39, 0x01, 0x2c, 0x00, 0x81, 0x08, 0x00, 0x7f, 0xff, 0x7f, 0x08, 0x00, 0x00, 0x01, 0x00,
		0x00, byte(len(registerCommand)), 0x00, 0x3a, 0x00, 0x00, 0x07, 0xf8, 0x0c, 0x0c,
	}
	fixed = append(fixed, make([]byte, 58-8-len(fixed))...)
	return rawPacket(typeConnect, append(fixed, registerCommand...))
}

// rawReply is a packet as it was received.
type rawReply struct {
	kind byte
	body []byte // behind the header
}

// text is what a REFUSE or an ACCEPT says.
func (r rawReply) text() string {
	switch {
	case r.kind == typeRefuse && len(r.body) >= 4:
		return string(r.body[4:])
	case r.kind == typeAccept && len(r.body) >= 14:
		offset := int(binary.BigEndian.Uint16(r.body[12:]))
		if offset >= 8 && offset-8 <= len(r.body) {
			return string(r.body[offset-8:])
		}
	case r.kind == typeData && len(r.body) >= 2:
		return string(r.body[2:])
	}
	return ""
}

// readRaw reads one packet with a 16-bit length.
func readRaw(c net.Conn, within time.Duration) (rawReply, error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return rawReply{}, err
	}
	var header [8]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return rawReply{}, err
	}
	n := int(binary.BigEndian.Uint16(header[:]))
	if n < len(header) {
		return rawReply{}, fmt.Errorf("packet of length %d", n)
	}
	r := rawReply{kind: header[4], body: make([]byte, n-len(header))}
	_, err := io.ReadFull(c, r.body)
	return r, err
}

func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func writeAll(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

// register opens a registration connection and returns it once it is accepted.
func register(t *testing.T, address string, connect []byte) net.Conn {
	t.Helper()
	c := dialRaw(t, address)
	writeAll(t, c, connect)
	reply, err := readRaw(c, patience)
	if err != nil {
		t.Fatalf("answer to the registration's CONNECT: %v", err)
	}
	if reply.kind != typeAccept {
		t.Fatalf("the registration's CONNECT was answered with type %d: %s", reply.kind, reply.text())
	}
	return c
}

// discardUntilClosed reads until the peer closes and returns what came.
func discardUntilClosed(c net.Conn, within time.Duration) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	said, err := io.ReadAll(io.LimitReader(c, 1<<20))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return said, fmt.Errorf("still open after %v", within)
	}
	return said, nil // a reset closes as well
}

// Folders beside the project: registrations that real databases sent, and first
// packets of real clients.
const (
	captureFolder = moduleRoot + "/../shared/captures/nsgr"
	connectFolder = moduleRoot + "/../shared/captures/connect"
)

// captured returns the CONNECT and the registrations of the capture folder by name.
func captured(t *testing.T) (connect []byte, registrations map[string][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(captureFolder, "*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	registrations = map[string][]byte{}
	for _, file := range files {
		packet, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case len(packet) > 4 && packet[4] == typeConnect:
			connect = packet
		case len(packet) > 10 && packet[4] == typeData:
			registrations[strings.TrimSuffix(filepath.Base(file), ".bin")] = packet
		default:
			t.Fatalf("%s is neither CONNECT nor DATA", file)
		}
	}
	if connect == nil || len(registrations) == 0 {
		t.Skipf("no captured registrations in %s, the folder beside the project: this test needs them", captureFolder)
	}
	return connect, registrations
}

// capturedConnects returns what clients sent first, by file name.
func capturedConnects(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(connectFolder, "*.hex"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no captured connects in %s, the folder beside the project: this test needs them", connectFolder)
	}
	connects := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		packets, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		connects[strings.TrimSuffix(filepath.Base(file), ".hex")] = packets
	}
	return connects
}
