package broker

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/limits"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// commandsSingly is how many times a command of one client address is logged in a while.
const commandsSingly = 20

// administer answers a COMMAND: ping to anyone; version, status and services to
// this host; everything else is refused (tns.md 10, 14).
func (b *Broker) administer(ctx context.Context, conn *tns.Conn, connect *tns.Connect, command string) {
	command = strings.ToLower(command)
	named := "COMMAND=" + descriptor.Escape(command[:min(len(command), 64)])
	if command == noSuchCommand {
		named = "a COMMAND that is there twice, or elsewhere than in CONNECT_DATA, or without a value,"
	}
	peer := conn.NetConn().RemoteAddr()
	if _, again := b.limiting.repeats.NoteFrom(commandsSingly, "command "+named+" and client "+limits.SourceOf(relay.AddrPort(peer).Addr()).String(), func() any { return nil }); !again {
		b.log.Info("administrative command", "command", named, "peer", peer.String())
	}
	if command == "ping" {
		b.logCommand(connect, command, tns.CodeNone)
		b.reply(conn, tns.PingReply(b.config.Name))
		return
	}
	answer, known := b.answers(command)
	code, cause := tns.CodeNone, ""
	switch {
	case !b.fromThisHost(conn.NetConn()):
		code, cause = tns.CodeAdminRefused, named+" is answered to this host only: ask there, or over REST_ADDRESS with credentials"
	case !b.mayAdminister(ctx, conn.NetConn()):
		code, cause = tns.CodeAdminRefused, "no rule for cmon lets this host give "+named
	case !known:
		code, cause = tns.CodeUnknownCommand, named+" is not known: status, services, version and ping are; for changes use broker, cmctl or lsnrctl on this host"
	}
	b.logCommand(connect, command, code)
	if code != tns.CodeNone {
		b.refuseAs(conn, code, cause, "a command")
		return
	}
	b.replyAdmin(ctx, conn, connect, answer)
}

// fromThisHost tells whether a connection is one of this host's, and the proxy it may have come by too.
func (b *Broker) fromThisHost(c net.Conn) bool {
	proxy := throughOf(c)
	return b.isThisHost(c.RemoteAddr()) && (proxy == nil || b.isThisHost(proxy))
}

func (b *Broker) isThisHost(peer net.Addr) bool {
	a, err := netip.ParseAddrPort(peer.String())
	return err == nil && b.hosts.isLocal(a.Addr())
}

// adminAnswer is the text of a reply: the header that ACCEPT carries, and what
// follows in DATA.
type adminAnswer struct {
	header string
	body   []string
}

func (b *Broker) answers(command string) (adminAnswer, bool) {
	header := fmt.Sprintf("(DESCRIPTION=(TMP=)(VSNNUM=%d)(ERR=0)", b.config.VSNNUM)
	switch command {
	case "version":
		return adminAnswer{header + ")", []string{b.banner() + "\n"}}, true
	case "status":
		return adminAnswer{header + b.statusHeader() + ")", append(b.endpointEntries(), b.serviceEntries(false)...)}, true
	case "services":
		return adminAnswer{header + b.statusHeader() + ")", b.serviceEntries(true)}, true
	}
	return adminAnswer{}, false
}

// banner is the line by which listeners introduce themselves; what it claims is
// what VSNNUM claims.
func (b *Broker) banner() string {
	v := b.config.VSNNUM
	return fmt.Sprintf("TNSLSNR for Linux: Version %d.%d.%d.%d.%d - Production", v>>24, v>>20&0xf, v>>12&0xff, v>>8&0xf, v&0xff)
}

// statusHeader has the fields of tns.md 10.3.
func (b *Broker) statusHeader() string {
	up, logFile := time.Since(b.started), ""
	if directory := b.settings().config.LogDirectory; directory != "" {
		logFile = "(LOGFILE=" + value(filepath.Join(directory, listenerLogName)) + ")"
	}
	return fmt.Sprintf("(ALIAS=%s)(SECURITY=ON)(VERSION=%s)(START_DATE=%s)(SIDNUM=%d)%s(TRACING=%s)(UPTIME=%d)(SNMP=OFF)",
		b.config.Name, b.banner(), listenerTime(b.started), len(b.table.Snapshot().Services()), logFile, cmp.Or(b.traceLevel(), "off"), up.Milliseconds()/10)
}

// entryEnd ends each entry of a status or services reply (tns.md 10.3).
const entryEnd = ",,"

func (b *Broker) endpointEntries() []string {
	var entries []string
	for _, at := range b.endpoints() {
		entries = append(entries, fmt.Sprintf("(ENDPOINT=(HANDLER=(HANDLER_MAXLOAD=0)(HANDLER_LOAD=0)(ESTABLISHED=0)(REFUSED=0)(PRE=any)(SESSION=NS)(DESCRIPTION=%s)))%s",
			at, entryEnd))
	}
	return entries
}

// serviceEntries lists services and instances, with their handlers if asked (tns.md
// 10.3, 10.4).
func (b *Broker) serviceEntries(handlers bool) []string {
	var entries []string
	for _, service := range b.table.Snapshot().Services() {
		var e strings.Builder
		fmt.Fprintf(&e, "(SERVICE=(SERVICE_NAME=%s)", value(service.Name))
		for i, instance := range service.Instances {
			fmt.Fprintf(&e, "(INSTANCE=(INSTANCE_NAME=%s)(NUM=%d)(INSTANCE_STATUS=%s)(NUMREL=%d)",
				value(instance.Registration.Instance), i+1, instance.Status, len(instance.Handlers))
			for _, h := range instance.Handlers {
				if handlers {
					e.WriteString(b.handlerEntry(instance, h.Handler))
				}
			}
			e.WriteByte(')')
		}
		e.WriteByte(')')
		entries = append(entries, e.String()+entryEnd)
	}
	return entries
}

func (b *Broker) handlerEntry(in servicetable.InstanceEntry, h *servicetable.Handler) string {
	state, tally := "ready", b.relay.Tally(in.Registration.HandlerKey(h))
	if h.Blocked() || in.Status == servicetable.Blocked {
		state = "blocked"
	}
	return fmt.Sprintf("(HANDLER=(HANDLER_DISPLAY=%s)(STA=%s)(HANDLER_MAXLOAD=%d)(HANDLER_LOAD=%d)(ESTABLISHED=%d)(REFUSED=%d)(HANDLER_ID=%X)(PRE=ttc)(HANDLER_NAME=%s)(SESSION=NS)(HANDLER_INFO=%s)%s)",
		value(h.Name), state, h.Max, h.Load, tally.Established, tally.Refused, h.ID, value(h.Name), value(h.Info), h.Address)
}

// value prints a text as a value of a descriptor, quoted where it has to be.
func value(text string) string {
	_, v, _ := strings.Cut((&descriptor.Node{Name: "V", Value: text}).String(), "=")
	return strings.TrimSuffix(v, ")")
}

// maxAdminPacket keeps each DATA packet of a reply within any peer's buffer.
const maxAdminPacket = 2048

// replyAdmin sends ACCEPT, the text in DATA packets, and the end of file that
// closes an administrative reply (tns.md 10.2, 1.4).
func (b *Broker) replyAdmin(ctx context.Context, conn *tns.Conn, connect *tns.Connect, answer adminAnswer) {
	accept := tns.AnswerConnect(connect, tns.VersionHighest, []byte(answer.header))
	if accept == nil {
		b.reply(conn, tns.NewRefuse(tns.CodeBadPacket, b.config.VSNNUM))
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })
	defer stop()
	_ = conn.NetConn().SetDeadline(time.Now().Add(replyTimeout))
	if err := conn.Send(accept); err != nil {
		_ = conn.NetConn().Close()
		return
	}
	conn.SetVersion(accept.Version)
	var messages []tns.Message
	for _, text := range answer.body {
		for len(text) > 0 {
			n := min(len(text), maxAdminPacket)
			messages = append(messages, &tns.Data{Payload: []byte(text[:n])})
			text = text[n:]
		}
	}
	b.reply(conn, append(messages, &tns.Data{Flags: tns.DataEOF})...)
}
