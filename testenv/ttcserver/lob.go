package ttcserver

import (
	"context"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// lobCall runs FunctionLOB.
func (c *conversation) lobCall(ctx context.Context) error {
	var m ttc.LOBCall
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil {
		return err
	}
	reply := ttc.LOBReply{Source: m.Source, Destination: m.Destination, Charset: m.Charset, Amount: m.Amount}
	if err := c.session.lobs.operate(&m, &reply); err != nil {
		return c.failed(ctx, err, 0)
	}
	c.out.buf = reply.AppendTo(c.out.buf, &m, c.dialect)
	return c.done(ttc.CallEnd{})
}

// operate does one operation and fills in the reply.
func (s *lobStore) operate(m *ttc.LOBCall, reply *ttc.LOBReply) error {
	switch m.Operation {
	case ttc.LOBCreateTemp:
		return s.createTemporary(m, reply)
	case ttc.LOBFreeTemp:
		s.free(m.Source)
		return nil
	case ttc.LOBFreeTemp | ttc.LOBArray:
		s.freeAll(m.Source)
		return nil
	}
	l, err := s.find(m.Source)
	if err != nil {
		return err
	}
	switch m.Operation {
	case ttc.LOBLength:
		reply.Amount = l.length()
	case ttc.LOBChunkSize:
		reply.Amount = lobChunk
	case ttc.LOBRead:
		return l.readFor(m, reply)
	case ttc.LOBWrite, ttc.LOBTrim, ttc.LOBAppend, ttc.LOBCopy:
		return s.change(l, m, reply)
	case ttc.LOBOpen:
		l.open = true
	case ttc.LOBClose:
		l.open = false
	case ttc.LOBIsOpen:
		reply.Null = l.open
	default:
		return notSupported("LOB operation %#x", uint32(m.Operation))
	}
	return nil
}

// readFor answers LOBRead. Offsets count from 1.
func (l *lob) readFor(m *ttc.LOBCall, reply *ttc.LOBReply) error {
	if m.SourceOffset == 0 {
		return errLOBParameter()
	}
	amount := m.Amount
	if amount == 0 { // some drivers mean all of it
		amount = l.length()
	}
	reply.Data, reply.Amount = l.read(m.SourceOffset-1, amount, isUTF16(m.Source))
	reply.HasData = reply.Amount > 0
	return nil
}

// change answers the operations that write. Only temporary LOBs can be
// changed: those of a table are values here, and a new value is stored by
// UPDATE.
func (s *lobStore) change(l *lob, m *ttc.LOBCall, reply *ttc.LOBReply) error {
	if !l.temporary {
		return &sqlengine.Error{Code: 22920, Text: "row containing the LOB value is not locked"}
	}
	switch m.Operation {
	case ttc.LOBTrim:
		return l.trim(m.Amount)
	case ttc.LOBWrite:
		if m.SourceOffset == 0 {
			return errLOBParameter()
		}
		data := m.Data
		if l.character && isUTF16(m.Source) {
			data = []byte(ttc.Characters(data, ttc.FormNational))
		}
		return l.write(m.SourceOffset-1, data)
	}
	return s.copyInto(l, m, reply)
}

// copyInto answers LOBAppend and LOBCopy: from the source to the destination.
func (s *lobStore) copyInto(from *lob, m *ttc.LOBCall, _ *ttc.LOBReply) error {
	to, err := s.find(m.Destination)
	if err != nil {
		return err
	}
	if from.character != to.character || !to.temporary {
		return errLOBParameter()
	}
	offset, amount, at := uint64(0), from.length(), to.length()
	if m.Operation == ttc.LOBCopy {
		if m.SourceOffset == 0 || m.DestinationOffset == 0 {
			return errLOBParameter()
		}
		offset, amount, at = m.SourceOffset-1, m.Amount, m.DestinationOffset-1
	}
	data, _ := from.read(offset, amount, false)
	return to.write(at, append([]byte(nil), data...))
}

// createTemporary answers LOBCreateTemp: the type is in the destination's
// offset, the character set form in the source's. The locator takes the place
// of the client's empty one, as long as that is.
func (s *lobStore) createTemporary(m *ttc.LOBCall, reply *ttc.LOBReply) error {
	l := &lob{temporary: true, character: ttc.Type(m.DestinationOffset) == ttc.TypeCLOB}
	locator := s.add(l)
	if l.character && byte(m.SourceOffset) == ttc.FormNational {
		locator[locatorCharset] |= storedUTF16
	}
	if len(m.Source) < len(locator) {
		s.free(locator)
		return errLOBParameter()
	}
	reply.Source = append(locator, make([]byte, len(m.Source)-len(locator))...)
	return nil
}

// freeAll frees the temporary LOBs of locators that stand one after another.
func (s *lobStore) freeAll(locators []byte) {
	for len(locators) >= locatorLength {
		s.free(locators[:locatorLength])
		locators = locators[locatorLength:]
	}
}

func isUTF16(locator []byte) bool {
	return len(locator) > locatorCharset && locator[locatorCharset]&storedUTF16 != 0
}

func errLOBParameter() error {
	return &sqlengine.Error{Code: 24801, Text: "illegal parameter value in OCI lob function"}
}
