package ttc

import "fmt"

// speaker decodes what a server answered and encodes it again.
type speaker struct {
	l     *listener
	cells map[uint32][]Cell // of cursors

	challenge AuthReply // the first answer to a login

	r   *Reader
	out []byte

	directions []Direction
}

// repeat gives the answer as it would be encoded now.
func (s *speaker) repeat(answer []byte) ([]byte, error) {
	s.r, s.out, s.directions = NewReader(answer), nil, nil
	if s.l.defines != nil {
		s.define()
	}
	for s.r.Err() == nil && s.r.Buffered() > 0 {
		code := MessageCode(s.r.Byte())
		switch s.l.code {
		case MessageNativeServices, MessageProtocol, MessageDataTypes, MessageFastAuth:
			s.negotiation(code)
		default:
			s.message(code)
		}
	}
	return s.out, s.r.Err()
}

func (s *speaker) define() {
	var cells []Cell
	for _, b := range s.l.defines {
		cells = append(cells, Cell{Type: b.Type, Form: b.Form, Prefetch: b.Continuation&LOBPrefetch != 0, Inline: b.Prefetch})
	}
	s.cells[s.l.cursor] = cells
}

func (s *speaker) negotiation(code MessageCode) {
	switch code {
	case MessageNativeServices:
		var m NativeServices
		m.Decode(s.r)
		s.out = m.AppendTo(s.out)
	case MessageProtocol:
		var m ProtocolReply
		m.Decode(s.r)
		s.out = m.AppendTo(s.out)
	case MessageDataTypes:
		s.l.types.DecodeReply(s.r)
		s.out = s.l.types.AppendReply(s.out)
	default:
		s.l.asked = FunctionAuthOne
		s.message(code)
	}
}

func (s *speaker) message(code MessageCode) {
	d := s.l.dialect
	var m interface {
		AppendTo([]byte, Dialect) []byte
	}
	switch code {
	case MessageParameters, MessageLOBData:
		s.returned(code)
		return
	case MessageRow:
		s.row()
		return
	case MessageEndOfResponse:
		s.out = append(s.out, byte(code))
		return
	case MessageCallEnd:
		end := new(CallEnd)
		end.Decode(s.r, d)
		m = end
	case MessageStatus:
		status := new(Status)
		status.Decode(s.r)
		m = status
	case MessageDescribe:
		describe := new(Describe)
		describe.Decode(s.r, d)
		s.described(describe)
		m = describe
	case MessageRowHeader:
		header := new(RowHeader)
		header.Decode(s.r)
		m = header
	case MessageIOVector:
		vector := new(IOVector)
		vector.Decode(s.r)
		s.directions = vector.Directions
		m = vector
	case MessageServerPiggyback:
		piggyback, ok := DecodeServerPiggyback(s.r).(interface {
			AppendTo([]byte, Dialect) []byte
		})
		if !ok {
			s.r.malformed("piggyback")
			return
		}
		m = piggyback
	default:
		s.r.malformed("message %d in an answer", code)
		return
	}
	s.out = m.AppendTo(s.out, d)
}

func (s *speaker) described(m *Describe) {
	var cells []Cell
	for _, c := range m.Columns {
		cells = append(cells, Cell{Type: c.Type, Form: c.Form})
	}
	s.cells[s.l.cursor] = cells
}

// returned repeats what a call returns besides rows, which the call decides.
func (s *speaker) returned(code MessageCode) {
	d := s.l.dialect
	switch s.l.asked {
	case FunctionAuthOne, FunctionAuthTwo:
		var m AuthReply
		m.Decode(s.r)
		if s.l.asked == FunctionAuthOne {
			s.challenge = m
		}
		s.out = m.AppendTo(s.out, d)
	case FunctionVersion:
		var m Version
		m.Decode(s.r, d)
		s.out = m.AppendTo(s.out, d)
	case FunctionLOB:
		// The code is part of what the decoder reads.
		again := NewReader(append([]byte{byte(code)}, s.r.Bytes(s.r.Buffered())...))
		var m LOBReply
		m.Decode(again, &s.l.lob, d)
		s.out = m.AppendTo(s.out, &s.l.lob, d)
		s.r = again
	default:
		var m Parameters
		m.Decode(s.r, s.l.counts)
		s.out = m.AppendTo(s.out, d)
	}
}

// row repeats a row of a query or of OUT values.
func (s *speaker) row() {
	s.out = append(s.out, byte(MessageRow))
	if s.directions == nil {
		for _, cell := range s.cells[s.l.cursor] {
			if t := cell.Type.Base(); t.isLOB() {
				s.out = cell.AppendLOB(s.out, cell.DecodeLOB(s.r))
			} else {
				s.out = cell.Append(s.out, cell.Decode(s.r))
			}
		}
		return
	}
	for i, direction := range s.directions {
		if direction == DirectionIn {
			continue
		}
		bind := s.l.binds[s.l.cursor].binds[i]
		value := OutValue{Cell: Cell{Type: bind.Type}, Bytes: s.r.CLR()}
		if actual := s.r.SB4(); actual != 0 {
			s.r.malformed("%s", fmt.Sprint("actual length ", actual))
		}
		s.out = value.AppendTo(s.out)
	}
}
