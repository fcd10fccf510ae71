package broker

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/tns"
)

// Lines of listener.log, features.md 1.9: fields with " * " between them, the first of which
// is the time and the last a code, 0 or one that a line with its meaning follows.

const (
	fieldSeparator = " * "
	maxLogField    = 4 << 10 // of what strangers sent, bytes
	maxLogName     = 256     // of a service they asked for

	// What stands for what is not known, because the client was refused before it had said.
	unknownConnectData = "<unknown connect data>"
	unknownService     = "<unknown sid>"
)

// listenerTime is a time as listeners write it: of this machine's zone, months in English.
func listenerTime(t time.Time) string {
	return strings.ToUpper(t.Local().Format("02-Jan-2006 15:04:05"))
}

// listenerLine joins the fields of one entry; an empty one is left out.
func listenerLine(at time.Time, code tns.Code, fields ...string) string {
	var w strings.Builder
	w.WriteString(listenerTime(at))
	for _, f := range fields {
		if f != "" {
			w.WriteString(fieldSeparator)
			w.WriteString(f)
		}
	}
	w.WriteString(fieldSeparator)
	w.WriteString(strconv.Itoa(int(code)))
	if code != tns.CodeNone {
		w.WriteByte('\n')
		w.WriteString(codeLine(code))
	}
	return w.String()
}

// codeLine is what follows an entry with a code.
func codeLine(code tns.Code) string {
	meaning := code.Meaning()
	if code == tns.CodeUnknownService { // which scrapers compare, features.md 1.9
		meaning = "listener does not currently know of service requested in connect descriptor"
	}
	return fmt.Sprintf("TNS-%05d: TNS:%s", int(code), meaning)
}

// logField makes a text of a stranger one field of one line, whatever is in it.
func logField(text string, most int) string {
	text = withoutSeparators(descriptor.Escape(text))
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// withoutSeparators writes stars in another way that could be taken for the end of a field.
func withoutSeparators(text string) string {
	if !strings.Contains(text, "*") {
		return text
	}
	var w strings.Builder
	for i := range len(text) {
		if text[i] == '*' && (i == 0 || i == len(text)-1 || text[i-1] == ' ' || text[i+1] == ' ') {
			w.WriteString(`\x2a`)
			continue
		}
		w.WriteByte(text[i])
	}
	return w.String()
}

// connectDataField is the CONNECT_DATA of a descriptor, without its secrets.
func connectDataField(data *descriptor.Node) string {
	return logField(data.Masked(), maxLogField)
}

// peerField is the address of a client.
func peerField(client netip.AddrPort, secure bool) string {
	if !client.IsValid() {
		return ""
	}
	protocol := "tcp"
	if secure {
		protocol = "tcps"
	}
	return fmt.Sprintf("(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d))", protocol, client.Addr(), client.Port())
}

// listenerConnect is the entry of a connect.
func listenerConnect(r *relay.ConnectReport) string {
	e := r.Explanation
	at, code := e.Time.Add(e.Took), tns.Code(e.Code)
	switch e.Outcome {
	case journal.Relay, journal.Redirect:
		code = tns.CodeNone
	case journal.Drop:
		code = tns.CodeRuleRejects
	case journal.Gone:
		code = tns.CodeClosed
	}
	address := peerField(r.Client, r.Secure)
	data := descriptor.ConnectData(r.Asked)
	switch {
	case code == tns.CodeBadDescriptor, code == tns.CodeNoConnectData, code == tns.CodeBadPacket && r.Asked == nil:
		return listenerLine(at, code)
	case data == nil:
		return listenerLine(at, code, unknownConnectData, address, "establish", unknownService)
	}
	asked := e.Query.Service
	if asked == "" {
		asked = e.Query.SID
	}
	return listenerLine(at, code, connectDataField(data), address, "establish", logField(asked, maxLogName))
}

// listenerRegistration is the entry of something that happened to a registration; "" if
// listeners have none for it.
func listenerRegistration(at time.Time, e registration.Event) string {
	instance := ""
	if e.Registration != nil {
		instance = logField(e.Registration.Instance, maxLogName)
	}
	switch e.Kind {
	case registration.Registered:
		return listenerLine(at, tns.CodeNone, peerField(e.Peer, false), "service_register", instance)
	case registration.Updated:
		return listenerLine(at, tns.CodeNone, "service_update", instance)
	case registration.Died:
		return listenerLine(at, tns.CodeClosed, "service_died", instance)
	case registration.Refused:
		line := listenerLine(at, e.Code, "service_register_NSGR")
		if e.Code == tns.CodeRegistrationRejected {
			line = fmt.Sprintf("Listener(VNCR option 1) rejected Registration request from destination %s\n%s", e.Peer.Addr(), line)
		}
		return line
	}
	return ""
}

// listenerCommand is the entry of an administrative command.
func listenerCommand(at time.Time, connect *tns.Connect, command string, code tns.Code) string {
	command = logField(command, maxLogName)
	if command == "ping" && code == tns.CodeNone {
		return listenerLine(at, code, command)
	}
	asked, err := descriptor.Parse(string(connect.Data))
	if err != nil {
		return listenerLine(at, code, command)
	}
	return listenerLine(at, code, connectDataField(descriptor.ConnectData(asked)), command)
}
