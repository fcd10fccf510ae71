package testenv

import (
	"context"
	"net"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/testenv/ttcserver"
	"servicebroker/tns"
)

// answer is what the local listener says to clients.
type answer struct {
	mode string
	code tns.Code // of modeRefuse
	to   string   // host:port of modeRedirect
}

// The local listener's modes.
const (
	modeAccept   = "accept"
	modeRefuse   = "refuse"
	modeHang     = "hang"
	modeReset    = "reset"
	modeRedirect = "redirect"
)

func (d *Database) accept(ctx context.Context) {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		d.open[c] = struct{}{}
		d.mu.Unlock()
		d.clients.Go(func() {
			d.client(ctx, c)
			_ = c.Close()
			d.mu.Lock()
			delete(d.open, c)
			d.mu.Unlock()
		})
	}
}

// client serves one connection as the local listener of this one instance.
func (d *Database) client(ctx context.Context, raw net.Conn) {
	_ = raw.SetDeadline(time.Now().Add(connectPatience))
	conn := tns.NewConn(raw)
	connect, err := conn.ReadConnect()
	if err != nil {
		return
	}
	d.mu.Lock()
	a := d.answer
	d.mu.Unlock()
	switch a.mode {
	case modeRefuse:
		d.refuse(conn, a.code)
	case modeHang:
		_ = raw.SetDeadline(time.Time{})
		_, _ = raw.Read(make([]byte, 1)) // until the peer gives up or we stop
	case modeReset:
		if t, ok := raw.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
	case modeRedirect:
		host, port, _ := net.SplitHostPort(a.to)
		_ = conn.Send(&tns.Redirect{Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=" + host + ")(PORT=" + port + "))", ConnectData: string(connect.Data)})
		conn.CloseAfterReply(time.Second)
	default:
		d.converse(ctx, conn, connect)
	}
}

func (d *Database) refuse(conn *tns.Conn, code tns.Code) {
	if conn.Send(tns.NewRefuse(code, 0)) == nil {
		conn.CloseAfterReply(time.Second)
	}
}

// converse accepts a client whom a real listener of this instance would accept.
func (d *Database) converse(ctx context.Context, conn *tns.Conn, connect *tns.Connect) {
	asked, err := descriptor.Parse(string(connect.Data))
	if err != nil {
		d.refuse(conn, tns.CodeBadDescriptor)
		return
	}
	data := descriptor.ConnectData(asked)
	if strings.EqualFold(data.Text("COMMAND"), "ping") {
		if conn.Send(tns.PingReply("LISTENER")) == nil {
			conn.CloseAfterReply(time.Second)
		}
		return
	}
	service, code := d.judge(data)
	if code != 0 {
		d.refuse(conn, code)
		return
	}
	d.count(1)
	defer d.count(-1)
	_ = conn.NetConn().SetDeadline(time.Time{})
	err = d.sql.Serve(ctx, conn, connect, ttcserver.Login{
		Service: service, SID: data.Text("SID"),
		ClientAddress: hostOf(conn.NetConn().RemoteAddr()), ServerAddress: hostOf(conn.NetConn().LocalAddr()),
		Pooled: strings.EqualFold(data.Text("SERVER"), "pooled"), ConnectionClass: data.Text("POOL_CONNECTION_CLASS"),
		PurityNew: strings.EqualFold(data.Text("POOL_PURITY"), "new"), Boundary: strings.ToUpper(data.Text("POOL_BOUNDARY")),
	})
	if err != nil {
		d.Log.Debug("conversation broke", "cause", err.Error())
	}
}

func hostOf(a net.Addr) string {
	host, _, _ := net.SplitHostPort(a.String())
	return host
}

// count notes that a session began or ended. Brokers hear of it with the next
// report, as from a real database.
func (d *Database) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = uint32(int(d.sessions) + n)
}

// judge decides as the listener of this one instance does: the service by the
// name it is registered under, or the code of the refusal.
func (d *Database) judge(data *descriptor.Node) (service string, code tns.Code) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name, sid, instance := data.Text("SERVICE_NAME"), data.Text("SID"), data.Text("INSTANCE_NAME")
	switch {
	case data == nil:
		return "", tns.CodeNoConnectData
	case data.Child("COMMAND") != nil:
		return "", tns.CodeUnknownCommand
	case name == "" && sid == "":
		return "", tns.CodeNoServiceName
	case name != "":
		if service = d.serviceCalled(name); service == "" {
			return "", tns.CodeUnknownService
		}
	case !strings.EqualFold(sid, d.Instance):
		return "", tns.CodeUnknownSID
	default:
		service = d.services[0]
	}
	if instance != "" && !strings.EqualFold(instance, d.Instance) {
		return "", tns.CodeUnknownInstance
	}
	if strings.EqualFold(data.Text("SERVER"), "shared") {
		return "", tns.CodeNoHandlerOfKind
	}
	if !strings.EqualFold(data.Text("UR"), "A") {
		switch d.status {
		case servicetable.Blocked:
			return "", tns.CodeBlocked
		case servicetable.Restricted:
			return "", tns.CodeRestricted
		}
	}
	return service, 0
}

// serviceCalled finds a service by exactly its name, in any case: a local
// listener knows no other; it is for the broker to ask by the right one.
func (d *Database) serviceCalled(name string) string {
	for _, s := range d.services {
		if strings.EqualFold(s, name) {
			return s
		}
	}
	return ""
}
