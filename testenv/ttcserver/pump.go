package ttcserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"servicebroker/tns"
)

// maxWaitingPieces bounds what a client may send ahead of what is understood
// of it. A client of ours never sends more than one call ahead.
const maxWaitingPieces = 16

// errBreak says that the client interrupted the call it was sending or waiting
// for; errReset that it wants both sides to forget what is under way.
var (
	errBreak = errors.New("ttcserver: interrupted by the client")
	errReset = errors.New("ttcserver: reset by the client")
)

// piece is one packet of the client, as the conversation takes it: a payload,
// or one of errBreak, errReset, io.EOF and a failure of the connection.
type piece struct {
	payload []byte
	err     error
}

// pump reads packets beside the running call, so that an interruption is
// noticed while a statement runs (ttc.md 10).
type pump struct {
	conn   *tns.Conn
	pieces chan piece
	// interrupt is called for every break, and gone when no more packets will
	// come, both before the piece that says so can be taken.
	interrupt func()
	gone      func(error)
}

// run reads until the connection ends or ctx does, then closes pieces.
func (p *pump) run(ctx context.Context) {
	defer close(p.pieces)
	for {
		next := p.read()
		switch {
		case next.err == nil && len(next.payload) == 0:
			continue
		case errors.Is(next.err, errBreak):
			p.interrupt()
		case next.err != nil && !errors.Is(next.err, errReset):
			p.gone(next.err)
		}
		select {
		case p.pieces <- next:
		case <-ctx.Done():
			return
		}
		if next.err != nil && !errors.Is(next.err, errBreak) && !errors.Is(next.err, errReset) {
			return
		}
	}
}

// read takes one packet. The zero piece is one that means nothing here.
func (p *pump) read() piece {
	packet, err := p.conn.ReadPacket()
	if err != nil {
		return piece{err: err}
	}
	switch packet.Type {
	case tns.TypeData:
		var data tns.Data
		if err := data.Decode(packet); err != nil {
			return piece{err: err}
		}
		if data.Flags&tns.DataEOF != 0 && len(data.Payload) == 0 {
			return piece{err: io.EOF}
		}
		return piece{payload: bytes.Clone(data.Payload)}
	case tns.TypeMarker:
		var marker tns.Marker
		if err := marker.Decode(packet); err != nil {
			return piece{err: err}
		}
		if marker.Value == tns.MarkerReset {
			return piece{err: errReset}
		}
		return piece{err: errBreak}
	case tns.TypeNull:
		return piece{}
	case tns.TypeAbort:
		return piece{err: io.EOF}
	}
	return piece{err: fmt.Errorf("%w: %v in the middle of a session", tns.ErrUnexpected, packet.Type)}
}

// next waits for the next piece.
func (p *pump) next(ctx context.Context) piece {
	select {
	case next, open := <-p.pieces:
		if !open {
			return piece{err: io.EOF}
		}
		return next
	case <-ctx.Done():
		return piece{err: context.Cause(ctx)}
	}
}
