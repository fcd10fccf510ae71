package ttc

import (
	"bytes"
	"encoding/binary"
)

// MessageNativeServices is the first byte of a negotiation of native network
// services (authentication, encryption, checksums), which some clients begin
// with although the ACCEPT says that there are none (ttc.md 3).
const MessageNativeServices MessageCode = 0xDE

const (
	nativeMagic     = 0xDEADBEEF
	nativeHeader    = 13
	nativeService   = 8
	nativePart      = 4
	maxNativeLength = 1 << 14

	// CodeIncompatible is the error of a service both sides cannot agree on.
	CodeIncompatible = 12660
)

// Services of the negotiation.
const (
	ServiceAuthentication uint16 = 1
	ServiceEncryption     uint16 = 2
	ServiceIntegrity      uint16 = 3
	ServiceSupervisor     uint16 = 4
)

// Types of their parts.
const (
	PartRaw     uint16 = 1
	PartByte    uint16 = 2
	PartVersion uint16 = 5
	PartStatus  uint16 = 6
)

// Statuses: the supervisor runs; authentication by the service is not active.
const (
	statusSupervisor uint16 = 31
	statusNoService  uint16 = 0xFBFF
)

// NativeServices is the message of either side.
type NativeServices struct {
	Version  uint32
	Services []NativeService
}

// NativeService is one service in it.
type NativeService struct {
	Number uint16
	Error  uint32
	Parts  []ServicePart
}

// ServicePart is one value of a service.
type ServicePart struct {
	Type uint16
	Data []byte
}

// Decode reads what follows the message code, which is the first byte of a
// magic number.
func (m *NativeServices) Decode(r *Reader) {
	*m = NativeServices{}
	if magic := r.Bytes(3); !bytes.Equal(magic, []byte{0xAD, 0xBE, 0xEF}) && r.err == nil {
		r.malformed("native services begin with % x", magic)
	}
	length := int(r.Uint16())
	if length < nativeHeader || length > maxNativeLength {
		r.malformed("native services of %d bytes", length)
	}
	m.Version = uint32(r.Uint16())<<16 | uint32(r.Uint16())
	n := int(r.Uint16())
	r.Byte()
	for range n {
		s := NativeService{Number: r.Uint16()}
		parts := int(r.Uint16())
		s.Error = uint32(r.Uint16())<<16 | uint32(r.Uint16())
		for range parts {
			size := int(r.Uint16())
			part := ServicePart{Type: r.Uint16(), Data: r.Bytes(size)}
			if r.err != nil {
				return
			}
			s.Parts = append(s.Parts, part)
		}
		if r.err != nil {
			return
		}
		m.Services = append(m.Services, s)
	}
}

// AppendTo appends the message with its code.
func (m *NativeServices) AppendTo(dst []byte) []byte {
	length := nativeHeader
	for _, s := range m.Services {
		length += nativeService
		for _, part := range s.Parts {
			length += nativePart + len(part.Data)
		}
	}
	be := binary.BigEndian
	dst = be.AppendUint32(dst, nativeMagic)
	dst = be.AppendUint16(dst, uint16(length))
	dst = be.AppendUint32(dst, m.Version)
	dst = be.AppendUint16(dst, uint16(len(m.Services)))
	dst = append(dst, 0)
	for _, s := range m.Services {
		dst = be.AppendUint16(dst, s.Number)
		dst = be.AppendUint16(dst, uint16(len(s.Parts)))
		dst = be.AppendUint32(dst, s.Error)
		for _, part := range s.Parts {
			dst = be.AppendUint16(dst, uint16(len(part.Data)))
			dst = be.AppendUint16(dst, part.Type)
			dst = append(dst, part.Data...)
		}
	}
	return dst
}

// Answer is what a server says that offers none of the services. A client that
// insists on encryption or checksums is told that there is no agreement.
func (m *NativeServices) Answer() *NativeServices {
	be := binary.BigEndian
	version := ServicePart{PartVersion, be.AppendUint32(nil, m.Version)}
	answer := &NativeServices{Version: m.Version}
	for _, s := range m.Services {
		reply := NativeService{Number: s.Number, Parts: []ServicePart{version}}
		switch s.Number {
		case ServiceSupervisor:
			reply.Parts = append(reply.Parts, ServicePart{PartStatus, be.AppendUint16(nil, statusSupervisor)})
			if n := len(s.Parts); n > 0 {
				reply.Parts = append(reply.Parts, s.Parts[n-1]) // the services it supervises
			}
		case ServiceAuthentication:
			reply.Parts = append(reply.Parts, ServicePart{PartStatus, be.AppendUint16(nil, statusNoService)})
		default:
			reply.Parts = append(reply.Parts, ServicePart{PartByte, []byte{0}})
			if !s.takesNone() {
				reply.Error = CodeIncompatible
			}
		}
		answer.Services = append(answer.Services, reply)
	}
	return answer
}

// takesNone reports whether the client can do without the service: its list of
// algorithms is empty or has number 0, which is none.
func (s *NativeService) takesNone() bool {
	for _, part := range s.Parts {
		if part.Type == PartRaw {
			return len(part.Data) == 0 || bytes.IndexByte(part.Data, 0) >= 0
		}
	}
	return true
}
