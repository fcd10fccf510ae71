package ttcserver

import (
	"context"
	"fmt"

	"servicebroker/tns"
	"servicebroker/ttc"
)

const (
	defaultTNSVersion = 318
	versionFastAuth   = 318
	versionEnding     = 319
	connectionIDSize  = 16
	codeVersions      = tns.Code(12618)
)

// accept answers the CONNECT. The form with room for a connection id is the
// one every driver was seen to take (ttc.md 17).
func (c *conversation) accept(connect *tns.Connect) error {
	dialect := c.server.Dialect
	version := dialect.TNSVersion
	if version == 0 {
		version = defaultTNSVersion
	}
	accept := tns.AnswerConnect(connect, version, nil)
	if accept == nil {
		refusal := tns.NewRefuse(codeVersions, 0)
		if err := c.conn.Send(refusal); err != nil {
			return err
		}
		return fmt.Errorf("%w: the client insists on %d or later", tns.ErrVersion, connect.Lowest)
	}
	if dialect.SDU > 0 {
		accept.SDU = min(accept.SDU, dialect.SDU)
		accept.TDU = accept.SDU
	}
	if accept.Version >= versionFastAuth {
		accept.SDU16, accept.TDU16 = uint16(min(accept.SDU, 0xFFFF)), 0xFFFF
		accept.Extra = make([]byte, connectionIDSize)
		if dialect.FastAuth {
			accept.Flags2 |= tns.Flags2FastAuth
		}
	}
	if accept.Version >= versionEnding && dialect.EndOfResponse {
		accept.Flags2 |= tns.Flags2EndOfResponse
	}
	if err := c.conn.Send(accept); err != nil {
		return err
	}
	c.conn.SetVersion(accept.Version)
	c.out = answer{conn: c.conn, sdu: int(accept.SDU)}
	c.mayEnd = accept.Flags2&tns.Flags2EndOfResponse != 0
	c.caps = ttc.ServerCapabilities(c.fieldVersion(), false)
	if dialect.ClassicVerifier {
		c.caps = c.caps.WithoutPBKDF2()
	}
	return nil
}

func (c *conversation) fieldVersion() byte {
	if v := c.server.Dialect.FieldVersion; v > 0 {
		return v
	}
	return ttc.DefaultFieldVersion
}

// negotiate handles the messages before the login.
func (c *conversation) negotiate(ctx context.Context, code ttc.MessageCode) error {
	switch code {
	case ttc.MessageNativeServices:
		return c.nativeServices()
	case ttc.MessageProtocol:
		return c.protocol()
	case ttc.MessageDataTypes:
		return c.dataTypes()
	}
	return c.fastAuth(ctx)
}

// nativeServices answers clients that want to negotiate services although the
// ACCEPT says that there are none.
func (c *conversation) nativeServices() error {
	var m ttc.NativeServices
	m.Decode(c.in)
	if err := c.in.Err(); err != nil {
		return err
	}
	c.out.buf = m.Answer().AppendTo(c.out.buf)
	return c.out.finish()
}

func (c *conversation) protocol() error {
	var m ttc.Protocol
	m.Decode(c.in)
	if err := c.in.Err(); err != nil {
		return err
	}
	c.login.Driver = m.Driver
	c.out.buf = ttc.NewProtocolReply(c.caps).AppendTo(c.out.buf)
	return c.out.finish()
}

func (c *conversation) dataTypes() error {
	var m ttc.DataTypes
	m.Decode(c.in)
	if err := c.in.Err(); err != nil {
		return err
	}
	c.out.buf = m.AppendReply(c.out.buf)
	err := c.out.finish() // the answer itself has no ending yet
	c.agree(ttc.Negotiate(c.caps, &m))
	return err
}

// agree starts to speak a dialect.
func (c *conversation) agree(d ttc.Dialect) {
	d.EndOfResponse = d.EndOfResponse && c.mayEnd
	c.dialect = d
	c.out.ending = d.EndOfResponse
}

// fastAuth answers three messages at once (ttc.md 5.5).
func (c *conversation) fastAuth(ctx context.Context) error {
	var m ttc.FastAuth
	d := m.Decode(c.in, c.caps)
	if err := c.in.Err(); err != nil {
		return err
	}
	c.login.Driver = m.Protocol.Driver
	c.sequence = m.Header.Sequence
	c.agree(d)
	c.out.buf = ttc.NewProtocolReply(c.caps).AppendTo(c.out.buf)
	c.out.buf = m.DataTypes.AppendReply(c.out.buf)
	return c.phaseOne(ctx, &m.Login, d)
}
