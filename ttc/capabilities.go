package ttc

import "slices"

// Capabilities are the two byte strings in which each side says what it can
// do. Bytes beyond a string's end count as zero.
type Capabilities struct {
	Compile []byte
	Runtime []byte
}

// Positions and bits in the compile-time capabilities (ttc.md 5.3 and 5.4).
const (
	capLogon           = 4
	capBackport        = 5
	capFieldVersion    = 7
	capTTC1            = 15
	capTTC3            = 37
	capTTC4            = 40
	capPBKDF2          = 0x20 // in capLogon
	capImplicitPool    = 0x08 // in capBackport
	capZoneFile        = 0x02 // in capTTC3
	capInBand          = 0x04 // in capTTC4
	capEndOfResponse   = 0x20 // in capTTC4
	capRequestBoundary = 0x40 // in capTTC4
)

// Positions and bits in the run-time capabilities.
const (
	runtimeCompatibility = 1
	runtimeTTC           = 6
	runtimeTimeZone      = 0x01 // in runtimeCompatibility
	runtime32K           = 0x04 // in runtimeTTC
	runtimeStateOps      = 0x10 // in runtimeTTC
)

// DefaultFieldVersion is that of a 19c database; every known thin driver can
// do with it (ttc.md 2).
const DefaultFieldVersion = 12

// ServerCapabilities are those a database shows: with fieldVersion, and with
// the boundary marks of requests if boundaries is set.
func ServerCapabilities(fieldVersion byte, boundaries bool) Capabilities {
	c := Capabilities{
		Compile: []byte{
			0x06, 0x01, 0x01, 0x01, 0xEF, 0x0F, 0x01, fieldVersion, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
			0x7F, 0xFF, 0x03, 0x10, 0x03, 0x03, 0x01, 0x01, 0xFF, 0x01, 0xFF, 0xFF, 0x01, 0x0B, 0x01,
			0x01, 0xFF, 0x01, 0x06, 0x0C, 0xF6, 0x01, 0x7D, 0x05, 0x0F, capInBand, 0x0D, 0x03, 0x00, 0x00,
		},
		Runtime: []byte{0x02, 0x01, 0x00, 0x01, 0x18, 0x00, 0x01 | runtime32K},
	}
	if boundaries {
		c.Compile[capTTC4] |= capRequestBoundary
		c.Runtime[runtimeTTC] |= runtimeStateOps
	}
	return c
}

// ClientCapabilities are those of a thin driver that goes up to fieldVersion
// and, if it wants it, asks for the end of responses.
func ClientCapabilities(fieldVersion byte, endOfResponse bool) Capabilities {
	c := ServerCapabilities(fieldVersion, false)
	if endOfResponse {
		c.Compile[capTTC4] |= capEndOfResponse
	}
	return c
}

// WithoutPBKDF2 is c without the newer way to make a session's key, so that
// clients use the oldest one with 11g verifiers.
func (c Capabilities) WithoutPBKDF2() Capabilities {
	c = c.clone()
	if len(c.Compile) > capLogon {
		c.Compile[capLogon] &^= capPBKDF2
	}
	return c
}

// FieldVersion is the layout version these capabilities claim.
func (c Capabilities) FieldVersion() byte { return at(c.Compile, capFieldVersion) }

func (c Capabilities) clone() Capabilities {
	return Capabilities{Compile: slices.Clone(c.Compile), Runtime: slices.Clone(c.Runtime)}
}

func at(caps []byte, position int) byte {
	if position < len(caps) {
		return caps[position]
	}
	return 0
}

// Negotiate derives the dialect from what the server showed and what the
// client answered (ttc.md 5.3). EndOfResponse is the client's wish; whoever
// sent the ACCEPT knows whether it also had the server's consent.
func Negotiate(server Capabilities, client *DataTypes) Dialect {
	c := client.Capabilities
	d := Dialect{
		FieldVersion:       min(server.FieldVersion(), c.FieldVersion()),
		CLRText:            client.Flags&dataTypesCLRText != 0,
		RawScale:           client.Representation(TypeSB1) == representationOracle,
		EndOfResponse:      at(c.Compile, capTTC4)&capEndOfResponse != 0,
		ImplicitPool:       at(c.Compile, capBackport)&capImplicitPool != 0,
		InBandNotification: at(c.Compile, capTTC4)&capInBand != 0,
		MaxString:          4000,
	}
	if at(server.Runtime, runtimeTTC)&runtime32K != 0 {
		d.MaxString = 32767
	}
	return d
}
