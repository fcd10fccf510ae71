package ttcserver

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

const (
	locatorLength = 40
	lobChunk      = 8132 // what a database with blocks of 8 KiB reports
	// maxLOBs bounds how many LOBs a session remembers; the oldest that are not
	// temporary are forgotten first (ORA-22922).
	maxLOBs = 20000
	// maxLOBSize bounds a temporary LOB, in bytes.
	maxLOBSize = 1 << 28
)

// Offsets and bits of a locator that drivers look at (ttc.md 9).
const (
	locatorKind      = 4
	locatorInit      = 5
	locatorCharset   = 6
	locatorTemporary = 7
	locatorID        = 10
	locatorTag       = 18

	kindBLOB       = 0x01
	kindCLOB       = 0x02
	initialized    = 0x08
	storedUTF16    = 0x80
	temporaryBit   = 0x01
	locatorVersion = 0x02
)

// lob is the content of a LOB that a client has a locator of.
type lob struct {
	character bool
	temporary bool
	open      bool
	data      []byte // UTF-8 if character
	// units is character data as UTF-16, in which offsets and amounts count; nil
	// while all of it is ASCII and data serves.
	units   []uint16
	measure bool // units is up to date
}

// lobStore holds a session's LOBs by number. The tag keeps locators of one
// session from meaning something in another.
type lobStore struct {
	tag  uint32
	last uint64
	lobs map[uint64]*lob
	old  []uint64 // numbers in the order they were given
}

// add stores a LOB and returns its locator.
func (s *lobStore) add(l *lob) []byte {
	if s.lobs == nil {
		s.lobs = map[uint64]*lob{}
	}
	s.forget()
	s.last++
	s.lobs[s.last] = l
	if !l.temporary {
		s.old = append(s.old, s.last)
	}
	locator := make([]byte, locatorLength)
	binary.BigEndian.PutUint16(locator, locatorLength-2)
	locator[3] = locatorVersion
	locator[locatorKind] = kindBLOB
	if l.character {
		locator[locatorKind] = kindCLOB
	}
	locator[locatorInit] = initialized
	if l.temporary {
		locator[locatorTemporary] = temporaryBit
	}
	binary.BigEndian.PutUint64(locator[locatorID:], s.last)
	binary.BigEndian.PutUint32(locator[locatorTag:], s.tag)
	return locator
}

func (s *lobStore) forget() {
	for len(s.old) >= maxLOBs {
		delete(s.lobs, s.old[0])
		s.old = s.old[1:]
	}
}

// number is the LOB's number in a locator, 0 if it is none of this session's.
func (s *lobStore) number(locator []byte) uint64 {
	if len(locator) < locatorTag+4 || binary.BigEndian.Uint32(locator[locatorTag:]) != s.tag {
		return 0
	}
	return binary.BigEndian.Uint64(locator[locatorID:])
}

// find gives the LOB of a locator.
func (s *lobStore) find(locator []byte) (*lob, error) {
	if l := s.lobs[s.number(locator)]; l != nil {
		return l, nil
	}
	return nil, &sqlengine.Error{Code: 22922, Text: "nonexistent LOB value"}
}

func (s *lobStore) free(locator []byte) {
	if number := s.number(locator); s.lobs[number] != nil && s.lobs[number].temporary {
		delete(s.lobs, number)
	}
}

// count makes units current.
func (l *lob) count() {
	if l.measure || !l.character {
		return
	}
	l.measure, l.units = true, nil
	for _, b := range l.data {
		if b >= utf8.RuneSelf {
			l.units = utf16.Encode([]rune(string(l.data)))
			return
		}
	}
}

// length is in characters, as UTF-16 has them, or bytes.
func (l *lob) length() uint64 {
	l.count()
	if l.units != nil {
		return uint64(len(l.units))
	}
	return uint64(len(l.data))
}

// read gives amount characters or bytes from offset, counted from 0; less at
// the end. Characters are in UTF-8, unless national asks for UTF-16.
func (l *lob) read(offset, amount uint64, national bool) (data []byte, got uint64) {
	size := l.length()
	offset = min(offset, size)
	got = min(amount, size-offset)
	switch {
	case l.units != nil:
		got = wholeCharacters(l.units[offset:], got)
		text := string(utf16.Decode(l.units[offset : offset+got]))
		return ttc.AppendCharacters(nil, text, formOf(national)), got
	case l.character:
		return ttc.AppendCharacters(nil, string(l.data[offset:offset+got]), formOf(national)), got
	}
	return l.data[offset : offset+got], got
}

// wholeCharacters gives how many units to read for n so that the end does not
// fall inside a character of two units: one less, or one more if that were
// none.
func wholeCharacters(units []uint16, n uint64) uint64 {
	if n == 0 || n >= uint64(len(units)) || !utf16.IsSurrogate(rune(units[n-1])) || units[n-1] >= firstLowSurrogate {
		return n
	}
	if n > 1 {
		return n - 1
	}
	return 2
}

// firstLowSurrogate begins the second units of characters that take two.
const firstLowSurrogate = 0xDC00

func formOf(national bool) byte {
	if national {
		return ttc.FormNational
	}
	return ttc.FormImplicit
}

// write puts data, characters in UTF-8, at offset, counted from 0. A gap is
// filled with blanks or zeros.
func (l *lob) write(offset uint64, data []byte) error {
	if offset > maxLOBSize || uint64(len(data)) > maxLOBSize-offset {
		return &sqlengine.Error{Code: 22993, Text: "specified input amount is greater than actual source amount"}
	}
	l.count()
	if l.units == nil && (!l.character || isASCII(data)) {
		filler := byte(0)
		if l.character {
			filler = ' '
		}
		l.data = overwrite(l.data, int(offset), data, filler)
		return nil
	}
	units := l.units
	if units == nil {
		units = utf16.Encode([]rune(string(l.data)))
	}
	units = overwrite(units, int(offset), utf16.Encode([]rune(string(data))), ' ')
	l.data, l.measure = []byte(string(utf16.Decode(units))), false
	return nil
}

// trim shortens to size characters or bytes.
func (l *lob) trim(size uint64) error {
	if size > l.length() {
		return &sqlengine.Error{Code: 22926, Text: "specified trim length is greater than current LOB value's length"}
	}
	if l.units == nil {
		l.data = l.data[:size]
		return nil
	}
	l.data, l.measure = []byte(string(utf16.Decode(l.units[:size]))), false
	return nil
}

func overwrite[T byte | uint16](to []T, offset int, data []T, filler T) []T {
	for len(to) < offset {
		to = append(to, filler)
	}
	n := copy(to[offset:], data)
	return append(to, data[n:]...)
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
