package testenv

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/testenv/ttcserver"
	"servicebroker/tns"
)

// answer is what the local listener says to clients.
type answer struct {
	mode     string
	code     tns.Code           // of modeRefuse
	to       descriptor.Address // of modeRedirect
	replaced chan struct{}      // closed when another takes its place
}

// systemService is the service of sessions that asked for a SID.
const systemService = "SYS$USERS"

// The local listener's modes.
const (
	modeAccept   = "accept"
	modeRefuse   = "refuse"
	modeHang     = "hang"
	modeReset    = "reset"
	modeRedirect = "redirect"
)

const (
	acceptPause = 50 * time.Millisecond // while the system has no descriptors left
	linger      = time.Second           // for a client to read its refusal (tns.md 3.2)
)

// accept serves clients until the listener is closed.
func (d *Database) accept(ctx context.Context) {
	for {
		c, err := d.listener.Accept()
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return
		default:
			d.Log.Error("cannot accept connections for the moment", "cause", err.Error())
			select {
			case <-time.After(acceptPause):
				continue
			case <-ctx.Done():
				return
			}
		}
		if !d.sockets.enter(c) {
			_ = c.Close()
			continue
		}
		d.clients.Go(func() {
			defer d.sockets.leave(c)
			defer c.Close()
			d.client(ctx, c)
		})
	}
}

// client serves one connection as the local listener of this one instance.
func (d *Database) client(ctx context.Context, raw net.Conn) {
	patience := cmp.Or(d.ConnectPatience, connectPatience)
	_ = raw.SetDeadline(time.Now().Add(patience))
	unwrapped, err := d.unwrap(ctx, raw)
	if err != nil {
		d.Log.Debug("no TLS handshake", "cause", err.Error())
		return
	}
	conn := tns.NewConn(unwrapped)
	connect, err := conn.ReadConnect()
	if err != nil {
		d.refuseUnread(conn, err)
		return
	}
	a := d.currentAnswer()
	for a.mode == modeHang {
		if !hang(raw, a.replaced) {
			return
		}
		a = d.currentAnswer()
	}
	_ = raw.SetDeadline(time.Now().Add(patience))
	if a.mode == modeReset {
		if t, ok := raw.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		return
	}
	asked, err := descriptor.Parse(string(connect.Data))
	data := descriptor.ConnectData(asked)
	switch {
	case err == nil && strings.EqualFold(data.Text("COMMAND"), "ping"):
		d.reply(conn, tns.PingReply("LISTENER"))
	case a.mode == modeRefuse:
		d.refuse(conn, a.code)
	case a.mode == modeRedirect:
		d.reply(conn, &tns.Redirect{Address: a.to.String(), ConnectData: string(connect.Data)})
	case err != nil:
		d.refuse(conn, tns.CodeBadDescriptor)
	default:
		if connect, err = d.restart(ctx, conn, connect); err != nil {
			d.Log.Debug("no second TLS handshake", "cause", err.Error())
			return
		}
		d.converse(ctx, conn, connect, data)
	}
}

func (d *Database) currentAnswer() answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answer
}

// hang says nothing, whatever comes, until over is closed, as a listener that was stopped and goes on; false: the peer
// gave up before, or we stop.
func hang(raw net.Conn, over <-chan struct{}) bool {
	_ = raw.SetDeadline(time.Time{})
	gone := make(chan struct{})
	var waker sync.WaitGroup
	waker.Go(func() {
		select {
		case <-over:
			_ = raw.SetReadDeadline(time.Now())
		case <-gone:
		}
	})
	_, err := io.Copy(io.Discard, raw)
	close(gone)
	waker.Wait()
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// refuseUnread ends a connection that brought no readable CONNECT: with a reason
// where the client speaks Oracle Net, without a word where it does not.
func (d *Database) refuseUnread(conn *tns.Conn, err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		d.refuse(conn, tns.CodeInboundTimeout)
	case errors.Is(err, tns.ErrMalformed), errors.Is(err, tns.ErrTooLong), errors.Is(err, tns.ErrOutOfStep), errors.Is(err, tns.ErrUnexpected):
		d.refuse(conn, tns.CodeBadPacket)
	}
}

func (d *Database) refuse(conn *tns.Conn, code tns.Code) { d.reply(conn, tns.NewRefuse(code, 0)) }

// reply sends the last message of a connection.
func (d *Database) reply(conn *tns.Conn, m tns.Message) {
	_ = conn.NetConn().SetDeadline(time.Now().Add(linger))
	if conn.Send(m) == nil {
		conn.CloseAfterReply(linger)
	}
}

// converse accepts a client whom a real listener of this instance would accept.
func (d *Database) converse(ctx context.Context, conn *tns.Conn, connect *tns.Connect, data *descriptor.Node) {
	service, code := d.judge(data)
	if code == 0 && !d.takePlace() {
		code = tns.CodeNoHandler
	}
	if code != 0 {
		d.refuse(conn, code)
		return
	}
	defer d.leavePlace()
	_ = conn.NetConn().SetDeadline(time.Time{})
	err := d.sql.Serve(ctx, conn, connect, ttcserver.Login{
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

// takePlace takes a place for a session, if there is one left. Brokers hear of it
// with the next report, as from a real database.
func (d *Database) takePlace() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions >= d.Max {
		return false
	}
	d.sessions++
	return true
}

func (d *Database) leavePlace() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions--
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
		service = systemService
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
	if i := serviceIndex(d.services, name); i >= 0 {
		return d.services[i]
	}
	return ""
}
