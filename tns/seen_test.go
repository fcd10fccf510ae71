package tns

import (
	"bytes"
	"net"
	"strings"
	"testing"
)

// TestSeenIsToldOfEveryByte: what both sides are told of is what went over the wire.
func TestSeenIsToldOfEveryByte(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	var sent, read []byte
	count := 0
	client := NewConn(near)
	client.Seen = func(out bool, b []byte) {
		if !out {
			t.Errorf("read %x", b)
		}
		sent = append(sent, b...)
	}
	server := NewConn(far)
	server.Seen = func(out bool, b []byte) {
		if out || len(b) < headerSize || int(b[0])<<8|int(b[1]) != len(b) {
			t.Errorf("no packet that was read: %x", b)
		}
		count++
		read = append(read, b...)
	}
	text := "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + strings.Repeat("x", 9000) + ")))" // in packets of its own
	ended := make(chan error, 1)
	go func() { ended <- client.Send(NewConnect([]byte(text))) }()
	if _, err := server.ReadConnect(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent, read) || !bytes.Contains(read, []byte("SERVICE_NAME=xxx")) || count != 3 {
		t.Errorf("%d packets, %d bytes sent, %d read", count, len(sent), len(read))
	}
}
