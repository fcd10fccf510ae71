package main

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"

	"servicebroker/tns"
)

const (
	connectSize = 240  // bytes of a CONNECT, about what drivers send
	messageSize = 512  // bytes of a round trip's packet, each way
	bulkSize    = 8192 // bytes of a bulk packet

	echoing = 'E' // first byte of a message that is to come back
	asking  = 'B' // first byte of a message that asks for bulk
)

// Packets are made once: whoever generates load shall not spend the machine's time on text.

func connectTo(service string) *tns.Connect {
	const before, behind = "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=", ")(HOST=client)(USER=app))))"
	program := ")(CID=(PROGRAM=bench"
	least := len(tns.NewConnect(nil).AppendTo(nil, false)) + len(before+service+program+behind)
	return tns.NewConnect([]byte(before + service + program + strings.Repeat("x", max(0, connectSize-least)) + behind))
}

// connectPacket is the CONNECT for a service.
func connectPacket(service string) []byte { return connectTo(service).AppendTo(nil, false) }

// acceptPacket answers such a CONNECT.
func acceptPacket() []byte {
	return tns.AnswerConnect(connectTo("any"), tns.VersionHighest, nil).AppendTo(nil, false)
}

// redirectPacket is an answer like a broker's, for a server that does nothing but answer.
func redirectPacket(to, service string) ([]byte, error) {
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return nil, err
	}
	return (&tns.Redirect{
		Address:     "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=" + host + ")(PORT=" + port + ")))",
		ConnectData: string(connectTo(service).Data),
	}).AppendTo(nil, false), nil
}

// message is a DATA packet of a size, whose payload says what it asks for.
func message(ask byte, size int) []byte {
	return tns.Data{Payload: bytes.Repeat([]byte{ask}, size-dataHeader)}.AppendTo(nil, true)
}

// dataHeader is how many bytes of a DATA packet come before its payload.
const dataHeader = 10

// connectIsWhole tells whether a CONNECT is there with all its data, which may come in a packet of its own behind it.
func connectIsWhole(b []byte) bool {
	if len(b) < 28 {
		return false
	}
	size, data, offset := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[24:])), int(binary.BigEndian.Uint16(b[26:]))
	if offset+data > size {
		size += dataHeader + data
	}
	return len(b) >= size
}

// answered is the type of the answer at the start of b once all of it is there, 0 before.
func answered(b []byte) tns.Type {
	if len(b) < 8 {
		return 0
	}
	size := int(binary.BigEndian.Uint16(b))
	if len(b) < size {
		return 0
	}
	kind := tns.Type(b[4])
	if kind == tns.TypeRedirect && size == 10 { // its text is in a DATA packet
		if len(b) < 12 || len(b) < 10+int(binary.BigEndian.Uint16(b[10:])) {
			return 0
		}
	}
	return kind
}
