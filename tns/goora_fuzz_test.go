package tns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sijms/go-ora/v2/configurations"
	"github.com/sijms/go-ora/v2/network"
	"github.com/sijms/go-ora/v2/trace"

	"servicebroker/testenv/fuzzing"
)

// listening plays listeners to go-ora, one connection after the other.
type listening struct {
	conns  chan *fuzzing.Conn
	dialed []string
}

// DialContext is how go-ora gets there.
func (l *listening) DialContext(_ context.Context, _, address string) (net.Conn, error) {
	client, server := fuzzing.Pipe("10.0.0.1:40000", "192.0.2.1:1521", 1<<20, 0)
	_ = server.SetDeadline(time.Now().Add(5 * time.Second))
	l.dialed = append(l.dialed, address)
	l.conns <- server
	return client, nil
}

// plainWord are texts that go-ora finds again in a descriptor: it has neither quotes nor escapes.
func plainWord(s *fuzzing.Script) string {
	word := []byte("w")
	for _, b := range s.Bytes(20) {
		word = append(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"[int(b)%65])
	}
	return string(word)
}

// FuzzGoOra lets go-ora and us talk to each other in memory. What it sends we read, and write again byte for
// byte; our ACCEPT, REFUSE, REDIRECT and RESEND mean to it what we mean, and after an ACCEPT each reads the
// other's DATA in the lengths of the version.
func FuzzGoOra(f *testing.F) {
	for _, script := range [][]byte{
		{}, {0, 3, 1, 2, 3, 0, 0, 0}, {0, 0, 0, 0, 0, 1, 4}, {0, 0, 0, 0, 0, 2, 5, 1, 2, 3, 4, 5}, {0, 0, 0, 0, 0, 3, 0, 3}, {1, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 2, 255, 255, 2, 200, 1},
	} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		s := fuzzing.Read(script)
		config := &configurations.ConnectionConfig{}
		config.SessionDataUnitSize, config.TransportDataUnitSize, config.Protocol = fuzzing.Pick[uint32](s, 8192, 512, 0x200000, 65535), 0x200000, "tcp"
		config.ServiceName, config.InstanceName = plainWord(s), fuzzing.Pick(s, "", plainWord(s))
		config.ProgramPath, config.HostName, config.OSUserName = plainWord(s)+strings.Repeat("p", s.Below(5000)), "h", "u"
		config.Servers = []configurations.ServerAddr{{Addr: plainWord(s), Port: 1 + s.Below(65535)}}
		l := &listening{conns: make(chan *fuzzing.Conn, 8)}
		config.Dialer = l
		session := network.NewSession(config, trace.NilTracer())
		played := make(chan error, 1)
		p := &listener{t: t, s: s, config: config, l: l}
		go func() { played <- p.play() }()
		err := session.Connect(t.Context())
		close(l.conns)
		if problem := <-played; problem != nil {
			t.Fatal(problem)
		}
		p.check(session, err)
		session.Disconnect()
	})
}

// listener is the listeners' side, and what they have said.
type listener struct {
	t        *testing.T
	s        *fuzzing.Script
	config   *configurations.ConnectionConfig
	l        *listening
	accept   *Accept
	refuse   *Refuse
	redirect *Redirect
	conn     *Conn
}

func (p *listener) play() (err error) {
	for raw := range p.l.conns {
		if err != nil { // it will not be answered any more
			_ = raw.Close()
			continue
		}
		if err = p.playOne(raw); err != nil {
			_ = raw.Close()
		}
	}
	return err
}

func (p *listener) playOne(raw *fuzzing.Conn) error {
	p.conn = NewConn(&taped{Conn: raw})
	connect, err := p.readConnect()
	if err != nil {
		return err
	}
	if (p.redirect != nil) != (connect.HeaderFlags&FlagRedirected != 0) {
		return fmt.Errorf("after %+v header flags are %x", p.redirect, connect.HeaderFlags)
	}
	return p.answer(connect)
}

// readConnect reads what go-ora sends, which is what we would send in its place.
func (p *listener) readConnect() (*Connect, error) {
	tape := p.conn.NetConn().(*taped)
	tape.read = nil
	connect, err := p.conn.ReadConnect()
	if err != nil {
		return nil, fmt.Errorf("go-ora's CONNECT: %w (%x)", err, tape.read)
	}
	again, theirs := connect.AppendTo(nil, false), tape.read
	first := int(binary.BigEndian.Uint16(theirs))
	if !bytes.HasPrefix(again, theirs[:first]) {
		return nil, fmt.Errorf("go-ora sends %x, which we write %x", theirs, again)
	}
	var long []byte // its DATA packets are as long as its SDU, ours as drivers take them
	for rest := theirs[first:]; len(rest) > 0; rest = rest[binary.BigEndian.Uint16(rest):] {
		long = append(long, rest[10:binary.BigEndian.Uint16(rest)]...)
	}
	if len(long) > 0 && !bytes.Equal(long, connect.Data) {
		return nil, fmt.Errorf("go-ora sends %q, which we read %q", long, connect.Data)
	}
	return connect, nil
}

// taped is a connection of which is kept what was read.
type taped struct {
	*fuzzing.Conn
	read []byte
}

// Read reads, and keeps it.
func (c *taped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read = append(c.read, b[:n]...)
	return n, err
}

func (p *listener) answer(connect *Connect) error {
	s := p.s
	switch s.Below(4) {
	case 1:
		p.refuse = NewRefuse(Code(1+s.Below(30000)), uint32(s.Below(1<<16))).WithRef(fuzzing.Pick(s, "", "ABCD2345"))
		return p.conn.Send(p.refuse)
	case 2:
		if len(p.l.dialed) < 3 {
			p.redirect = &Redirect{
				Address:     fmt.Sprintf("(ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d))", fuzzing.Pick(s, "TCP", "tcp"), plainWord(s), 1+s.Below(65535)),
				ConnectData: "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + plainWord(s) + ")(INSTANCE_NAME=" + plainWord(s) + ")(X=" + strings.Repeat("y", s.Below(8000)) + ")))",
			}
			return p.conn.Send(p.redirect)
		}
	case 3:
		if len(connect.Data) > inlineLimit {
			break // go-ora 2.9.0 sends other bytes again where they did not fit into one packet
		}
		if err := p.conn.Send(Resend{}); err != nil {
			return err
		}
		again, err := p.readConnect()
		if err == nil && !bytes.Equal(again.Data, connect.Data) {
			err = fmt.Errorf("it is %q and was %q", again.Data, connect.Data)
		}
		if err != nil {
			return fmt.Errorf("the CONNECT after a RESEND: %w", err)
		}
	}
	p.accept = AnswerConnect(connect, fuzzing.Pick[uint16](s, 319, 314, 315, 313, 312), s.Bytes(200))
	return p.conn.Send(p.accept)
}

// check compares what go-ora has understood with what was meant.
func (p *listener) check(session *network.Session, err error) {
	t := p.t
	if p.redirect != nil {
		last := p.l.dialed[len(p.l.dialed)-1]
		address, _, _ := strings.Cut(strings.TrimPrefix(p.redirect.Address[strings.Index(p.redirect.Address, "(HOST="):], "(HOST="), ")")
		if !strings.HasPrefix(last, address+":") || !strings.Contains(p.redirect.ConnectData, "(SERVICE_NAME="+p.config.ServiceName+")(INSTANCE_NAME="+p.config.InstanceName+")") {
			t.Fatalf("redirected by %+v it went to %s for %s at %s", p.redirect, last, p.config.ServiceName, p.config.InstanceName)
		}
	}
	if p.refuse != nil {
		var refused *network.OracleError
		code, _ := p.refuse.ErrorCode()
		if !errors.As(err, &refused) || refused.ErrCode != int(code) {
			t.Fatalf("refused with %q it says %v", p.refuse.Text, err)
		}
		return
	}
	if err != nil || p.accept == nil {
		t.Fatalf("accepted by %+v it says %v", p.accept, err)
	}
	is := session.Context
	if is.Version != p.accept.Version || is.SessionDataUnit != min(p.accept.SDU, p.accept.TDU) || is.ACFL0 != p.accept.Flags0 || is.ACFL1 != p.accept.Flags1 || is.NegotiatedOptions != p.accept.Options {
		t.Fatalf("accepted by %+v it has %+v", p.accept, is)
	}
	p.talk(session)
}

// talk exchanges DATA both ways, in packets of the SDU that was agreed on.
func (p *listener) talk(session *network.Session) {
	t := p.t
	p.conn.SetVersion(p.accept.Version)
	large := p.accept.Version >= VersionLargeSDU
	said := bytes.Repeat([]byte("from us. "), 1+p.s.Below(3000))
	if _, err := p.conn.NetConn().Write(AppendData(nil, 0, said, int(p.accept.SDU), large)); err != nil {
		t.Fatal(err)
	}
	if got, err := session.GetBytes(len(said)); err != nil || !bytes.Equal(got, said) {
		t.Fatalf("it reads %d bytes of %d: %v", len(got), len(said), err)
	}
	session.ResetBuffer()
	answer := bytes.Repeat([]byte("from go-ora. "), 1+p.s.Below(3000))
	session.PutBytes(answer...)
	if err := session.Write(); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for len(got) < len(answer) {
		packet, err := p.conn.ReadPacket()
		if err != nil {
			t.Fatalf("after %d bytes of %d: %v", len(got), len(answer), err)
		}
		var d Data
		if err := d.Decode(packet); err != nil {
			t.Fatal(err)
		}
		got = append(got, d.Payload...)
	}
	if !bytes.Equal(got, answer) {
		t.Fatal("we read something else than it said")
	}
}
