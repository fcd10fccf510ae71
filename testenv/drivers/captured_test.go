package drivers

import (
	"net"
	"slices"
	"strings"
	"testing"
)

// answerTo is what a captured connect has to be answered with, by the name of its
// case: packet types, and for a refusal its code.
func answerTo(name, mode string, packets []byte) (kinds []byte, code string) {
	served := byte(typeAccept)
	const redirectedFlag = 0x04 // whoever was redirected here is not sent on (tns.md 1.1, 14)
	if mode == redirecting && packets[5]&redirectedFlag == 0 {
		served = typeRedirect
	}
	switch {
	case strings.HasSuffix(name, "-noservice"):
		return []byte{typeRefuse}, "(ERR=12504)"
	case strings.HasSuffix(name, "-command"):
		return []byte{typeRefuse}, "(ERR=0)"
	case strings.HasSuffix(name, "-shared"):
		return []byte{typeRefuse}, "(ERR=12520)"
	case strings.Contains(name, "-sourceroute"):
		return []byte{served, typeRefuse}, "(ERR=" // its next hop is not there
	case strings.HasSuffix(name, "-instance"):
		// One who names an instance and has no CONNECTION_ID may be one who was just sent there.
		return []byte{served, typeAccept}, ""
	}
	return []byte{served}, ""
}

// First packets of real clients in many configurations get an answer of the right
// kind, in one piece and byte by byte.
func TestCapturedConnects(t *testing.T) {
	connects := capturedConnects(t)
	for _, mode := range []string{relaying, redirecting} {
		for _, way := range segmentations[:2] {
			t.Run(mode+"/"+way.name, func(t *testing.T) {
				// A broker that has seen none of the CONNECTION_IDs yet.
				b := startBroker(t, brokerOptions{parameters: []string{"ROUTE=" + mode}})
				for _, instance := range []string{"sales1", "sales2", "orcl1"} {
					startDatabase(t, databaseOptions{instance: instance, services: []string{"sales.example.com"}, brokers: []string{b.address}})
				}
				b.awaitService(t, "sales.example.com", "READY", 3)
				for name, packets := range connects {
					t.Run(name, func(t *testing.T) {
						c := dialRaw(t, b.address)
						way.write(t, c, packets)
						kinds, code := answerTo(name, mode, packets)
						judgeAnswer(t, c, kinds, code)
					})
				}
			})
		}
	}
}

// judgeAnswer reads the answer to a CONNECT, which must be of one of the kinds, and a
// refusal with the code.
func judgeAnswer(t *testing.T, c net.Conn, kinds []byte, code string) {
	t.Helper()
	reply, err := readRaw(c, patience)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(kinds, reply.kind) || reply.kind == typeRefuse && !strings.Contains(reply.text(), code) {
		t.Errorf("answered with type %d and %q, want type %v %s", reply.kind, reply.text(), kinds, code)
	}
	if reply.kind == typeRedirect { // its text follows, tns.md 4
		text, err := readRaw(c, patience)
		if err != nil || text.kind != typeData || !strings.HasPrefix(text.text(), "(ADDRESS=(PROTOCOL=") || !strings.Contains(text.text(), "\x00(DESCRIPTION=") {
			t.Errorf("redirected by type %d and %q, %v", text.kind, text.text(), err)
		}
	}
}
