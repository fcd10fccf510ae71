package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"servicebroker/testenv/stage"
	"servicebroker/tns"
)

// What sessions with the instance do that are no flows, by their number.
const (
	lastWords  = 1_000_000 + iota // the client says its last, and is answered then
	longAnswer                    // it is answered much, which it reads late
)

// speakLast has a client end its side of a session. What it returns sees that the instance can still answer.
func (s *streams) speakLast(ctx context.Context, b *stage.Broker) (answered func() error) {
	v := &visitor{descriptor: flowDescriptor(b, lastWords)}
	err := v.connect(ctx, b.Address)
	if err == nil {
		err = v.conn.Send(tns.Data{Payload: []byte("my last")})
	}
	if err == nil {
		err = v.conn.NetConn().(*net.TCPConn).CloseWrite()
	}
	return func() error {
		defer v.close()
		if err != nil {
			return err
		}
		select {
		case s.reply <- struct{}{}:
		case <-ctx.Done():
			return errors.New("the instance has not heard of the client's end")
		}
		p, err := v.conn.ReadPacket()
		var data tns.Data
		if err == nil {
			err = data.Decode(p)
		}
		if err != nil || string(data.Payload) != "yours too" {
			return fmt.Errorf("answered %q, %w", data.Payload, err)
		}
		if _, err = v.conn.ReadPacket(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("after the answer: %w", err)
		}
		return nil
	}
}

func (s *streams) answerLast(conn *tns.Conn) {
	defer conn.NetConn().Close()
	p, err := conn.ReadPacket()
	if err == nil && !bytes.Contains(p.Body, []byte("my last")) {
		err = fmt.Errorf("it was %q", p.Body)
	}
	if err == nil {
		if _, err = conn.ReadPacket(); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		s.fail("the instance, reading last words", err)
	}
	select {
	case <-s.reply:
	case <-s.stop:
		return
	}
	if err := conn.Send(tns.Data{Payload: []byte("yours too")}); err != nil {
		s.fail("the instance, after last words", err)
	}
}

// A long answer is more than all there is between two programs has room for.
const (
	longPayload = 8000
	longCount   = 1500
)

// answerLong sends much to whoever does not read it yet.
func (s *streams) answerLong(conn *tns.Conn) {
	defer conn.NetConn().Close()
	for i := range longCount {
		if err := conn.Send(tns.Data{Payload: bytes.Repeat([]byte{byte(i)}, longPayload)}); err != nil {
			s.fail("the instance, in a long answer", err)
			return
		}
	}
}

// listenLate has a client that does not read its long answer until what is returned is called.
func (s *streams) listenLate(ctx context.Context, b *stage.Broker) (listen func() error) {
	v := &visitor{descriptor: flowDescriptor(b, longAnswer)}
	err := v.connect(ctx, b.Address)
	return func() error {
		defer v.close()
		for i := 0; err == nil && i < longCount; i++ {
			var p tns.Packet
			var data tns.Data
			if p, err = v.conn.ReadPacket(); err == nil {
				err = data.Decode(p)
			}
			if err == nil && !bytes.Equal(data.Payload, bytes.Repeat([]byte{byte(i)}, longPayload)) {
				err = fmt.Errorf("packet %d is another one", i)
			}
		}
		return err
	}
}
