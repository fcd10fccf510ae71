package main

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"servicebroker/tns"
)

func TestPackets(t *testing.T) {
	for _, service := range []string{"s", carried, strings.Repeat("long", 60)} {
		p := connectPacket(service)
		if len(p) < connectSize || len(p) > connectSize && len(service) < 100 {
			t.Errorf("the CONNECT for %s has %d bytes", service, len(p))
		}
		for n := range p {
			if connectIsWhole(p[:n]) {
				t.Fatalf("%d of %d bytes of the CONNECT for %s are taken for all", n, len(p), service)
			}
		}
		if !connectIsWhole(p) {
			t.Errorf("the CONNECT for %s is not taken for whole", service)
		}
	}
	redirect, err := redirectPacket("127.0.0.1:1521", moved)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := redirectPacket("nowhere", moved); err == nil {
		t.Error("an address without a port is taken")
	}
	for want, p := range map[tns.Type][]byte{tns.TypeAccept: acceptPacket(), tns.TypeRedirect: redirect} {
		for n := range p {
			if got := answered(p[:n]); got != 0 {
				t.Fatalf("%d of %d bytes are taken for a packet of type %d", n, len(p), got)
			}
		}
		if got := answered(p); got != want {
			t.Errorf("type %d instead of %d", got, want)
		}
	}
	if m := message(echoing, messageSize); len(m) != messageSize || m[dataHeader] != echoing {
		t.Errorf("a message of %d bytes, %q", len(m), m[:dataHeader+1])
	}
}

// What the broker's own reader makes of the packets.
func TestPacketsAreOracleNet(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	go func() { _, _ = there.Write(connectPacket(carried)) }()
	c, err := tns.NewConn(here).ReadConnect()
	if err != nil || !bytes.Contains(c.Data, []byte("SERVICE_NAME="+carried+")")) {
		t.Fatalf("%+v, %v", c, err)
	}
	redirect, _ := redirectPacket("127.0.0.1:1521", moved)
	go func() { _, _ = there.Write(append(redirect, acceptPacket()...)) }()
	conn := tns.NewConn(here)
	if m, err := conn.ReadReply(); err != nil || !strings.Contains(m.(*tns.Redirect).Address, "PORT=1521") {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := conn.ReadReply(); err != nil || m.(*tns.Accept).Version != tns.VersionHighest {
		t.Errorf("%+v, %v", m, err)
	}
}
