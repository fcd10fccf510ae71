package tns

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decode hands a packet to the decoder of its type.
func decode(p Packet) (m Message, following int, err error) {
	switch p.Type {
	case TypeConnect:
		m := new(Connect)
		following, err = m.Decode(p)
		return m, following, err
	case TypeAccept:
		m := new(Accept)
		following, err = m.Decode(p)
		return m, following, err
	case TypeRefuse:
		m := new(Refuse)
		following, err = m.Decode(p)
		return m, following, err
	case TypeRedirect:
		m := new(Redirect)
		following, err = m.Decode(p)
		return m, following, err
	case TypeResend:
		m := new(Resend)
		return m, 0, m.Decode(p)
	case TypeData:
		m := new(Data)
		return m, 0, m.Decode(p)
	case TypeMarker:
		m := new(Marker)
		return m, 0, m.Decode(p)
	case TypeControl:
		m := new(Control)
		return m, 0, m.Decode(p)
	}
	return p, 0, nil
}

const (
	refuse21c  = "(DESCRIPTION=(TMP=)(VSNNUM=352321536)(ERR=12514)(ERROR_STACK=(ERROR=(CODE=12514)(EMFI=4))))"
	pingAnswer = "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=0)(ALIAS=LISTENER))"

	redirectAddress = "(ADDRESS=(PROTOCOL=TCP)(HOST=db2-vip)(PORT=1521))"
	redirectData    = "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=sales2)))"
)

// golden holds one-packet messages whose bytes tns.md, nsgr.md and ttc.md give.
var golden = []struct {
	name, bytes string
	message     Message
}{
	{"refuse of a 21c listener", `0067000004000000 22 00 005b "` + refuse21c + `"`,
		&Refuse{UserReason: 0x22, Text: refuse21c}},
	{"ping reply", `0041000004000000 22 00 0035 "` + pingAnswer + `"`,
		&Refuse{UserReason: 0x22, Text: pingAnswer}},
	{"resend", "000800000b000000", &Resend{}},
	{"resend with TLS", "000800000b080000", &Resend{TLS: true}},
	{"accept of a real 21c", "002d000002000000 013e 0c01 0000 0000 0100 0000 002d c101 0000000000000000 00002000 00200000 00 00000001",
		&Accept{Version: 318, Options: 0x0c01, One: [2]byte{1, 0}, Offset: 45, Flags0: 0xc1, Flags1: 1, SDU: 8192, TDU: 2 << 20, Flags2: Flags2OOBCheck}},
	{"accept of a real 11.2", "0020000002000000 0139 0000 0800 7fff 0100 0000 0020 6161 0000000000000000",
		&Accept{Version: 313, SDU: 2048, TDU: 0x7fff, One: [2]byte{1, 0}, Offset: 32, Flags0: 0x61, Flags1: 0x61}},
	{"accept of version 319", "002d000002000000 013f 0001 0000 0000 0100 0000 002d 0408 0000000000000000 00002000 00200000 00 00000000",
		&Accept{Version: 319, Options: 1, One: [2]byte{1, 0}, Offset: 45, Flags0: 4, Flags1: 8, SDU: 8192, TDU: 2 << 20}},
	{"accept of version 317", "0029000002000000 013d 0001 0000 0000 0100 0000 0029 0408 0000000000000000 00002000 00200000 00",
		&Accept{Version: 317, Options: 1, One: [2]byte{1, 0}, Offset: 41, Flags0: 4, Flags1: 8, SDU: 8192, TDU: 2 << 20}},
	{"accept of version 314", "0020000002000000 013a 0001 2000 7fff 0100 0000 0020 0408 0000000000000000",
		&Accept{Version: 314, Options: 1, SDU: 8192, TDU: 0x7fff, One: [2]byte{1, 0}, Offset: 32, Flags0: 4, Flags1: 8}},
	{"accept of 61 bytes", "003d000002010000 013f 0001 2000 2000 0100 0000 003d 4500 0000000000000000 00002000 00002000 00 12000000 000102030405060708090a0b0c0d0e0f",
		&Accept{HeaderFlags: FlagSessionID, Version: 319, Options: 1, SDU16: 8192, TDU16: 8192, SDU: 8192, TDU: 8192, One: [2]byte{1, 0}, Offset: 61, Flags0: AcceptFlags0NoNA,
			Flags2: Flags2FastAuth | Flags2EndOfResponse, ConnectionID: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}},
	{"close", "000a0000060000000040", &Data{Flags: DataEOF}},
	{"data", `000d000006000000 0000 "abc"`, &Data{Payload: []byte("abc")}},
	{"marker break", "000b00000c000000 01 00 01", &Marker{Kind: 1, Value: MarkerBreak}},
	{"marker after the out-of-band check", "000b00000c000000 01 00 02", &Marker{Kind: 1, Value: MarkerReset}},
	{"control drain", "001600000e000000 0008 00000016 0000311c 00000000",
		&Control{Command: ControlInBand, Facility: FacilityORA, Error: 12572}},
	{"control text", `001b00000e000000 0008 00000016 0000311d 00000005 "hello"`,
		&Control{Command: ControlInBand, Facility: FacilityORA, Error: 12573, Second: 5, Text: "hello"}},
	{"control reset", "000a00000e000000 0009", &Control{Command: ControlResetOOB}},
	{"registration", `0068000001000000 0139 012c 0081 0800 7fff 7f08 0000 0100 002e 003a 000007f8 0c 0c
		000000000000000000000000000000000000000000000000 "(CONNECT_DATA=(COMMAND=service_register_NSGR))"`,
		&Connect{Version: 313, Lowest: 300, Options: 0x81, SDU: 2048, TDU: 0x7fff, NTCharacteristics: 0x7f08, One: [2]byte{1, 0}, MaxReceive: 2040,
			Flags0: 12, Flags1: 12, Offset: 58, Data: []byte("(CONNECT_DATA=(COMMAND=service_register_NSGR))")}},
	{"nmap version", `005a000001000000 0136012c 0000 0800 7fff 7f08 0000 0100 0020 003a 00000000 0000 00000000 00000000 000034e600000001 0000000000000000
		"(CONNECT_DATA=(COMMAND=version))"`,
		&Connect{Version: 310, Lowest: 300, SDU: 2048, TDU: 0x7fff, NTCharacteristics: 0x7f08, One: [2]byte{1, 0}, Offset: 58,
			TraceID: [8]byte{0, 0, 0x34, 0xe6, 0, 0, 0, 1}, Data: []byte("(CONNECT_DATA=(COMMAND=version))")}},
}

func TestGoldenPackets(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			want := hexBytes(t, g.bytes)
			mustEqual(t, encode(g.message), want)
			got, following, err := decode(packetOf(t, want))
			if err != nil || following != 0 {
				t.Fatalf("following %d, error %v", following, err)
			}
			if diff := cmp.Diff(g.message, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// The first bytes that five drivers send, tns.md 1.2, and what they say.
func TestGoldenDrivers(t *testing.T) {
	for _, d := range []struct {
		name, bytes string
		want        Connect
	}{
		{"node", "010e000001000000 013f012c00012000ffff130e00000001 00c4004a 00000000 0808 00000000 00000000 0000000000000000 0000000000000000 00002000 00200000 00000000 00000000",
			Connect{Version: 319, Lowest: 300, Options: 1, SDU: 8192, TDU: 0xffff, NTCharacteristics: 0x130e, One: [2]byte{0, 1}, Flags0: 8, Flags1: 8, SDU32: 8192, TDU32: 2 << 20, Offset: 74}},
		{"ogo", "00e3000001000000 013f012c00012000ffff000000000001 0099004a 00000000 0808 00000000 00000000 0000000000000000 0000000000000000 00002000 00200000 00000000 00000000",
			Connect{Version: 319, Lowest: 300, Options: 1, SDU: 8192, TDU: 0xffff, One: [2]byte{0, 1}, Flags0: 8, Flags1: 8, SDU32: 8192, TDU32: 2 << 20, Offset: 74}},
		{"go3", "010a000001000000 013f012c0801ffffffff4f9800000001 00c0004a 00000000 0101 00000000 00000000 0000000000000000 0000000000000000 00200000 00200000 00000000 00000000",
			Connect{Version: 319, Lowest: 300, Options: 0x801, SDU: 0xffff, TDU: 0xffff, NTCharacteristics: 0x4f98, One: [2]byte{0, 1}, Flags0: 1, Flags1: 1, SDU32: 2 << 20, TDU32: 2 << 20, Offset: 74}},
		{"py", "010e000001000000 013f012c0401200020004f9800000001 00c4004a 00000000 8484 00000000 00000000 0000000000000000 0000000000000000 00002000 00002000 00000000 00000001",
			Connect{Version: 319, Lowest: 300, Options: 0x401, SDU: 8192, TDU: 8192, NTCharacteristics: 0x4f98, One: [2]byte{0, 1}, Flags0: 0x84, Flags1: 0x84, SDU32: 8192, TDU32: 8192, Flags2: Flags2OOBCheck, Offset: 74}},
		{"go29", "00e2000001000000 013d012c0801ffffffff4f9800000001 009c0046 00000000 0101 00000000 00000000 0000000000000000 0000000000000000 00200000 00200000 00000000",
			Connect{Version: 317, Lowest: 300, Options: 0x801, SDU: 0xffff, TDU: 0xffff, NTCharacteristics: 0x4f98, One: [2]byte{0, 1}, Flags0: 1, Flags1: 1, SDU32: 2 << 20, TDU32: 2 << 20, Offset: 70}},
	} {
		t.Run(d.name, func(t *testing.T) {
			first := hexBytes(t, d.bytes)
			length := int(first[0])<<8 | int(first[1])
			d.want.Data = bytes.Repeat([]byte("x"), length-len(first))
			packet := append(first, d.want.Data...)
			var got Connect
			following, err := got.Decode(packetOf(t, packet))
			if err != nil || following != 0 {
				t.Fatalf("following %d, error %v", following, err)
			}
			if diff := cmp.Diff(d.want, got); diff != "" {
				t.Fatal(diff)
			}
			mustEqual(t, encode(&got), packet)
		})
	}
}

// The whole REDIRECT of tns.md 4, two packets.
func TestGoldenRedirect(t *testing.T) {
	want := hexBytes(t, `000a0000 05 02 0000 0079  00830000 06 00 0000 0040 "`+redirectAddress+`\0`+redirectData+`"`)
	redirect := &Redirect{Address: redirectAddress, ConnectData: redirectData}
	mustEqual(t, encode(redirect), want)
	got, err := reading(want).ReadReply()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Message(redirect), got); diff != "" {
		t.Fatal(diff)
	}
}

// The ACCEPT of a 9.2 listener's status reply, tns.md 10.3, whose data follows.
func TestGoldenStatusAccept(t *testing.T) {
	text := bytes.Repeat([]byte("s"), 0x15d)
	stream := append(hexBytes(t, "0020000002000000 0136 0001 0800 7fff 0001 015d 0020 0d08 0000000000000000 0167000006000000 0000"), text...)
	got, err := reading(stream).ReadReply()
	if err != nil {
		t.Fatal(err)
	}
	want := &Accept{Version: 310, Options: 1, SDU: 2048, TDU: 0x7fff, One: [2]byte{0, 1}, Flags0: 0x0d, Flags1: 8, Offset: 32, Data: text}
	if diff := cmp.Diff(Message(want), got); diff != "" {
		t.Fatal(diff)
	}
	mustEqual(t, encode(want), stream)
}

// 32-bit lengths, tns.md 1.4 and 6.3.
func TestGoldenLargeLengths(t *testing.T) {
	for _, g := range []struct {
		bytes   string
		message Message
	}{
		{"0000000a060000000040", Data{Flags: DataEOF}},
		{"0000000b0c000000010002", Marker{Kind: 1, Value: MarkerReset}},
		{"000000160e000000 0008 00000016 0000311c 00000000", Control{Command: 8, Facility: 22, Error: 12572}},
	} {
		want := hexBytes(t, g.bytes)
		mustEqual(t, g.message.AppendTo(nil, true), want)
		c := reading(want)
		c.SetVersion(315)
		p, err := c.ReadPacket()
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := decode(p)
		if err != nil || !reflect.DeepEqual(reflect.Indirect(reflect.ValueOf(got)).Interface(), g.message) {
			t.Fatalf("got %v, %v, want %v", got, err, g.message)
		}
	}
}

// Messages before the ACCEPT have 16-bit lengths whatever is asked.
func TestLargeIsIgnoredBeforeAccept(t *testing.T) {
	for _, m := range []Message{
		NewConnect([]byte("x")), NewConnect(bytes.Repeat([]byte("x"), 300)), NewRefuse(CodeBlocked, 0), &Resend{},
		&Redirect{Address: "a", ConnectData: "b"}, &Accept{Version: 319}, &Accept{Version: 319, Data: bytes.Repeat([]byte("x"), 300)},
	} {
		mustEqual(t, m.AppendTo(nil, true), m.AppendTo(nil, false))
	}
}

func TestTypeNames(t *testing.T) {
	for typ, want := range map[Type]string{TypeConnect: "CONNECT", TypeAccept: "ACCEPT", TypeAck: "ACK", TypeRefuse: "REFUSE", TypeRedirect: "REDIRECT",
		TypeData: "DATA", TypeNull: "NULL", TypeAbort: "ABORT", TypeResend: "RESEND", TypeMarker: "MARKER", TypeAttention: "ATTENTION",
		TypeControl: "CONTROL", TypeDataDescriptor: "DATA DESCRIPTOR", 71: "type 71"} {
		if got := typ.String(); got != want {
			t.Errorf("%d is called %q, want %q", byte(typ), got, want)
		}
	}
}

// Every decoder refuses another's packet, and every proper prefix of its own.
func TestDecodersRefuse(t *testing.T) {
	for _, g := range golden {
		p := packetOf(t, hexBytes(t, g.bytes))
		for _, target := range []interface{ Decode(Packet) error }{new(Resend), new(Data), new(Marker), new(Control)} {
			if strings.HasSuffix(reflect.TypeOf(target).String(), reflect.TypeOf(g.message).Elem().Name()) {
				continue
			}
			mustFail(t, target.Decode(p), ErrUnexpected)
		}
		for _, target := range []interface{ Decode(Packet) (int, error) }{new(Connect), new(Accept), new(Refuse), new(Redirect)} {
			if reflect.TypeOf(target) == reflect.TypeOf(g.message) {
				continue
			}
			_, err := target.Decode(p)
			mustFail(t, err, ErrUnexpected)
		}
	}
}
