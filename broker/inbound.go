package broker

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"

	"servicebroker/certs"
	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/relay"
	"servicebroker/tns"
)

// unwrap does what comes before a connection's first packet: it takes off the PROXY header
// of a peer that has to send one, and runs the TLS handshake on an address with
// PROTOCOL=tcps. nil: the connection has been ended, and whoever should know why has been
// told, or the reading was interrupted. The deadline set on raw bounds it.
func (b *Broker) unwrap(ctx context.Context, a *arrival) (unwrapped net.Conn, interrupted bool) {
	raw := a.raw
	front, c := &b.security.current.Load().listening[a.at], certs.Replay(raw, a.unread)
	a.unread = nil
	switch {
	case a.behind:
		c = &proxied{Conn: c, client: net.TCPAddrFromAddrPort(a.client), through: raw.RemoteAddr()}
	case isAmong(front.proxies, raw.RemoteAddr()):
		var said []byte
		var err error
		if c, said, err = readProxyHeader(c); err != nil {
			if a.unread = said; a.reading.interruptedBy(err) {
				return nil, true
			}
			b.refuseHeader(c, err)
			return nil, false
		}
		a.behind, a.client = true, relay.AddrPort(c.RemoteAddr())
	}
	if !a.named && a.refusal == nil {
		a.refusal = b.judgeClient(a, relay.AddrPort(c.RemoteAddr()))
	}
	switch {
	case front.source == nil:
		return c, false
	case a.refusal != nil && a.inReserve == nil: // a handshake costs more than serving the client would
		b.explainLimit(c, a.refusal, true)
		reset(raw)
		return nil, false
	case front.passthrough && a.refusal == nil:
		if c, interrupted = b.passOn(ctx, front, a, c); c == nil {
			return nil, interrupted
		}
	}
	first, err := peek(c, len(tlsRecord)+3)
	if a.reading.interruptedBy(err) {
		a.unread = first
		return nil, true
	}
	a.reading.stay() // what follows has its state here
	if err != nil {
		b.rejected.unread(err, len(first) > 0)
		b.hangUp(c, "no TLS handshake", err)
		return nil, false
	}
	return b.endTLS(ctx, front.source, certs.Replay(c, first), isPlainConnect(first)), false
}

// passOn hands a client to an instance with TLS in its connection, if it says in its first
// message what it asks for. Who does not is returned, for TLS to be ended here, if there is
// a certificate for that. c is a's connection, or what goes over it.
func (b *Broker) passOn(ctx context.Context, front *front, a *arrival, c net.Conn) (unsealed net.Conn, interrupted bool) {
	hello, err := certs.PeekHello(c)
	replayed := certs.Replay(c, hello.Bytes)
	if err != nil {
		if a.reading.interruptedBy(err) {
			a.unread = hello.Bytes
			return nil, true
		}
		if errors.Is(err, certs.ErrNotTLS) {
			return replayed, false
		}
		b.handshakeFailed(c, err)
		return nil, false
	}
	if asked, ok := certs.ParseSNI(hello.ServerName); ok {
		a.reading.stay()
		b.spoke(a)
		b.open.enter(a.raw, phaseClient)
		b.relay.ServeSealed(ctx, c, relay.Sealed{
			Service: asked.Service, Instance: asked.Instance, Server: asked.Server, ColocationTag: asked.ColocationTag, Hello: hello.Bytes,
		}, b.arrivalOf(a, false))
		return nil, false
	}
	if _, err := front.source.ServerConfig(); err == nil {
		return replayed, false
	}
	b.rejected.add(rejectedTLS)
	b.explainEnd(c, "the client does not say in its TLS handshake which service it asks for, and there is no certificate with which to end TLS here (PASSTHROUGH): "+
		"write USE_SNI=ON in its descriptor (python-oracledb: use_sni=True), or give the address a certificate")
	_, _ = c.Write(relay.UnrecognizedName())
	tns.NewConn(c).CloseAfterReply(lingerTimeout)
	return nil, false
}

// refuseHeader ends a connection whose PROXY header is wrong or missing.
func (b *Broker) refuseHeader(c net.Conn, err error) {
	b.rejected.add(rejectedProxy)
	if !errors.Is(err, proxyproto.ErrNoProxyProtocol) {
		b.hangUp(c, "no PROXY header", err)
		return
	}
	conn := tns.NewConn(c)
	if _, err := conn.ReadConnect(); err != nil { // it may be anything; what there is to say it gets in Oracle Net
		b.hangUp(c, "no PROXY header", errNoHeader)
		return
	}
	b.refuse(conn, tns.CodeProtocolAdapter, errNoHeader.Error())
}

// endTLS ends TLS for the client, unless that is a plain one; nil as for unwrap.
func (b *Broker) endTLS(ctx context.Context, source *certs.Source, raw net.Conn, plain bool) net.Conn {
	if plain {
		conn := tns.NewConn(raw)
		if _, err := conn.ReadConnect(); err != nil {
			b.refuseUnread(conn, err)
			return nil
		}
		b.rejected.add(rejectedTLS)
		b.refuse(conn, tns.CodeProtocolAdapter, "a client without TLS on "+raw.LocalAddr().String()+", which speaks TLS alone: write PROTOCOL=tcps in its descriptor, or an address without TLS")
		return nil
	}
	secure, err := b.shakeHands(ctx, source, raw)
	if err != nil {
		b.handshakeFailed(raw, err)
		return nil
	}
	return secure
}

// shakeHands ends TLS for a client. A handshake is the most costly thing that anybody can ask
// for: they are worked on in turns, so that half of the processors are left for the rest.
func (b *Broker) shakeHands(ctx context.Context, source *certs.Source, raw net.Conn) (*certs.Conn, error) {
	turns, client := &b.limiting.handshakes, relay.AddrPort(raw.RemoteAddr()).Addr()
	patience := ctx
	if limit := b.config.InboundTimeout; limit > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, limit, os.ErrDeadlineExceeded)
		defer cancel()
		patience = limited
	}
	raw, free := certs.InTurns(raw, func() error { return turns.Enter(patience, client) }, turns.Leave)
	secure, err := source.Server(raw)
	if err == nil {
		err = secure.HandshakeContext(ctx)
	}
	free()
	return secure, err
}

// tlsRecord begins a TLS handshake.
var tlsRecord = []byte{0x16, 0x03}

// isPlainConnect tells a packet with a CONNECT by its header (tns.md 1.1).
func isPlainConnect(first []byte) bool {
	return len(first) >= 5 && first[2] == 0 && first[3] == 0 && tns.Type(first[4]) == tns.TypeConnect && !bytes.HasPrefix(first, tlsRecord)
}

// peek reads the first n bytes; fewer come with the error.
func peek(c net.Conn, n int) ([]byte, error) {
	first := make([]byte, n)
	read, err := io.ReadFull(c, first)
	return first[:read], err
}

// handshakeFailed ends a connection whose TLS handshake failed. Nothing but the handshake
// itself could tell the client why.
func (b *Broker) handshakeFailed(raw net.Conn, err error) {
	switch {
	case errors.Is(err, certs.ErrChallenge):
		b.log.Info("an authority has checked that a name is ours", "peer", raw.RemoteAddr().String(), "address", raw.LocalAddr().String())
		_ = raw.Close()
	case errors.Is(err, certs.ErrNotTLS):
		b.rejected.add(rejectedForeign)
		b.hangUp(raw, "no TLS handshake", err)
	case isAny(err, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed):
		b.rejected.add(rejectedIncomplete)
		b.hangUp(raw, "no TLS handshake", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.rejected.add(rejectedSilence)
		b.hangUp(raw, "no TLS handshake", fmt.Errorf("none within INBOUND_CONNECT_TIMEOUT: %w", err))
	default:
		b.rejected.add(rejectedTLS)
		remedy := handshakeRemedy(err) // of which there are few, and of errors any number: ports are in them, and what peers make up
		b.explainOnce(raw, tns.CodeProtocolAdapter, fmt.Sprintf("the TLS handshake failed: %v: %s", err, remedy), true, "TLS handshake: "+remedy)
		_ = raw.Close()
	}
}

// hangUp closes without a word what is no client.
func (b *Broker) hangUp(raw net.Conn, what string, err error) {
	b.log.Debug(what, "peer", raw.RemoteAddr().String(), "address", raw.LocalAddr().String(), "cause", err.Error())
	_ = raw.Close()
}

// explainEnd keeps why a connection is ended that cannot be told so in Oracle Net.
func (b *Broker) explainEnd(raw net.Conn, cause string) {
	b.explainRefusal(raw, tns.CodeProtocolAdapter, cause, true)
}

// explainRefusal tells everyone but the client, and returns the REF of what was kept.
func (b *Broker) explainRefusal(raw net.Conn, code tns.Code, cause string, secure bool) (ref string) {
	return b.explainOnce(raw, code, cause, secure, code.String()+": "+cause)
}

// explainOnce is explainRefusal for what is of one kind: where a client address is refused
// for the same again and again it is told once in a while, and then how often.
func (b *Broker) explainOnce(raw net.Conn, code tns.Code, cause string, secure bool, kind string) (ref string) {
	peer := raw.RemoteAddr()
	e := &journal.Explanation{
		Ref: b.journal.NewRef(), Time: time.Now(), Client: peer.String(), Outcome: journal.Refuse, Code: int(code), Text: cause,
	}
	first, again := b.limiting.repeats.Note(kind+" and client "+limits.SourceOf(relay.AddrPort(peer).Addr()).String(), func() any { return e.Ref })
	if ref, ok := first.(string); ok && again {
		e.Ref = ref
		b.connectReported(&relay.ConnectReport{Explanation: e, Client: relay.AddrPort(peer), Arrived: raw.LocalAddr().String(), Secure: secure, Repeated: true})
		return ref
	}
	b.log.Info("refused", "ref", e.Ref, "client", peer.String(), "address", raw.LocalAddr().String(), "code", code.String(), "cause", cause)
	b.journal.Keep(e)
	b.connectReported(&relay.ConnectReport{Explanation: e, Client: relay.AddrPort(peer), Arrived: raw.LocalAddr().String(), Secure: secure})
	return e.Ref
}

// handshakeRemedy says what to do about a handshake that failed on our side as a server.
func handshakeRemedy(err error) string {
	text := err.Error()
	said, alert := errors.AsType[*net.OpError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	remote := alert && said.Op == "remote error"
	switch {
	case unknown:
		return "give the CA that signed the client's certificate in TLS_CLIENT_CA"
	case errors.Is(err, certs.ErrUnwantedPeer):
		return "let the client use another certificate"
	case strings.Contains(text, "client didn't provide a certificate"):
		return "give the client a certificate of TLS_CLIENT_CA (WALLET_LOCATION or MY_WALLET_DIRECTORY), or set SSL_CLIENT_AUTHENTICATION=off"
	case remote && (strings.Contains(text, "unknown certificate authority") || strings.Contains(text, "bad certificate") || strings.Contains(text, "unknown certificate")):
		return "the client does not trust our certificate: give it the CA that signed that, and a HOST that the certificate names"
	case remote:
		return "the client ended it; what it says in its own log tells why"
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "no cipher suite supported by both"):
		return "the client is too old for TLS_MIN_VERSION or SSL_CIPHER_SUITES: update it, or lower these"
	case strings.Contains(text, "certificate has expired"):
		return "renew the client's certificate"
	}
	return "look into the client's log too"
}
