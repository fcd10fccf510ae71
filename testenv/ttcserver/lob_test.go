package ttcserver

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"servicebroker/ttc"
)

// lobCall runs a LOB operation.
func (c *client) lobCall(m ttc.LOBCall) (ttc.LOBReply, ttc.CallEnd) {
	c.t.Helper()
	c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionLOB, &m))
	var reply ttc.LOBReply
	var end ttc.CallEnd
	c.in.Begin()
	if c.in.Peek() != byte(ttc.MessageCallEnd) {
		reply.Decode(c.in, &m, c.dialect)
	}
	c.in.Byte()
	end.Decode(c.in, c.dialect)
	c.ended()
	return reply, end
}

// lobOp is lobCall for operations that must succeed.
func (c *client) lobOp(m ttc.LOBCall) ttc.LOBReply {
	c.t.Helper()
	reply, end := c.lobCall(m)
	if end.Code != 0 {
		c.t.Fatalf("operation %#x: %s", uint32(m.Operation), end.Text)
	}
	return reply
}

func (c *client) temporary(t ttc.Type, form byte) []byte {
	c.t.Helper()
	reply := c.lobOp(ttc.LOBCall{
		Operation: ttc.LOBCreateTemp, Source: make([]byte, locatorLength), SourceOffset: uint64(form), DestinationOffset: uint64(t),
		DestinationLength: 10, HasCharset: true, Charset: ttc.CharsetUTF8, WantNull: true,
	})
	return reply.Source
}

func (c *client) readLOB(locator []byte, offset, amount uint64) string {
	c.t.Helper()
	reply := c.lobOp(ttc.LOBCall{Operation: ttc.LOBRead, Source: locator, SourceOffset: offset, HasAmount: true, Amount: amount})
	return string(reply.Data)
}

func TestLOBColumns(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	_, r := c.exec("create table t (n number, c clob, b blob)", options{})
	r.must(c)
	long := strings.Repeat("0123456789", 120_000) // more than a megabyte
	wide := strings.Repeat("aé€😀", 3000)
	binds := []ttc.Bind{numberBind(), {Type: ttc.TypeLong, Size: 1<<31 - 1, Form: 1}, {Type: ttc.TypeLongRaw, Size: 1<<31 - 1}}
	_, r = c.exec("insert into t values (:1, :2, :3)", options{binds: binds, rows: [][]ttc.Value{
		{number("1"), text(long), text(long)}, {number("2"), text(wide), text("bytes")}, {number("3"), {}, {}},
	}})
	r.must(c)

	// No rows with the first answer: the client must say first how it wants LOBs.
	cur, r := c.exec("select c, b from t order by n", options{prefetch: 10})
	if r.want(c, 0); len(r.rows) != 0 || r.columns[0].Type != ttc.TypeCLOB || r.columns[1].Type != ttc.TypeBLOB {
		t.Fatalf("%d rows of %+v", len(r.rows), r.columns)
	}
	r = c.define(cur, []ttc.Bind{lobBind(ttc.TypeCLOB), lobBind(ttc.TypeBLOB)}, 10).want(c, ttc.CodeNoDataFound)
	if len(r.rows) != 3 || r.rows[2][0].(ttc.LOBCell).Locator != nil {
		t.Fatalf("rows %v", r.rows)
	}
	for i, want := range []struct {
		length  int
		content string
	}{{len(long), long}, {len(utf16.Encode([]rune(wide))), wide}} {
		cell := r.rows[i][0].(ttc.LOBCell)
		if cell.Length != uint64(want.length) || cell.Chunk != lobChunk {
			t.Errorf("row %d: length %d, chunk %d", i, cell.Length, cell.Chunk)
		}
		if got := c.readLOB(cell.Locator, 1, cell.Length); got != want.content {
			t.Errorf("row %d: %d bytes that differ", i, len(got))
		}
		if got := c.readLOB(cell.Locator, 1, 0); got != want.content { // 0 is all of it
			t.Errorf("row %d: %d bytes that differ", i, len(got))
		}
	}
	if got := c.readLOB(r.rows[1][1].(ttc.LOBCell).Locator, 2, 3); got != "yte" {
		t.Errorf("part of a BLOB: %q", got)
	}

	// As LONG; and again, which keeps the form.
	cur, _ = c.exec("select c, b from t where n = 2 or n = 3 order by n", options{prefetch: 10})
	r = c.define(cur, []ttc.Bind{{Type: ttc.TypeLong, Form: 1, Size: 1 << 30}, {Type: ttc.TypeLongVarRaw, Size: 1 << 30}}, 10)
	for range 2 {
		if len(r.rows) != 2 || string(r.rows[0][0].([]byte)) != wide || string(r.rows[0][1].([]byte)) != "bytes" || r.rows[1][0].([]byte) != nil {
			t.Fatalf("as LONG: %.100v", r.rows)
		}
		r = c.again(cur, 10).want(c, ttc.CodeNoDataFound)
	}

	// With the beginning of the content in the row.
	cur, _ = c.exec("select c, b from t where n = 2", options{})
	inline, bytesInline := lobBind(ttc.TypeCLOB), lobBind(ttc.TypeBLOB)
	inline.Prefetch, bytesInline.Prefetch = 3, 100
	r = c.define(cur, []ttc.Bind{inline, bytesInline}, 10)
	if got := string(r.rows[0][0].(ttc.LOBCell).Data) + "/" + string(r.rows[0][1].(ttc.LOBCell).Data); got != "aé€/bytes" {
		t.Errorf("inline %q", got)
	}

	// A client that just fetches gets plain locators.
	cur, _ = c.exec("select c from t where n = 2", options{prefetch: 10})
	r = c.fetch(cur, 10).want(c, ttc.CodeNoDataFound)
	if got := c.readLOB(r.rows[0][0].(ttc.LOBCell).Locator, 1, 2); got != "aé" {
		t.Errorf("by a plain locator: %q", got)
	}
	locator := r.rows[0][0].(ttc.LOBCell).Locator
	if _, end := c.lobCall(ttc.LOBCall{Operation: ttc.LOBWrite, Source: locator, SourceOffset: 1, Data: []byte("x")}); end.Code != 22920 {
		t.Errorf("writing to a LOB of a table: %d %s, want 22920", end.Code, end.Text)
	}
}

func TestTemporaryLOBs(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	locator := c.temporary(ttc.TypeCLOB, ttc.FormImplicit)
	write := func(offset uint64, content string) {
		t.Helper()
		c.lobOp(ttc.LOBCall{Operation: ttc.LOBWrite, Source: locator, SourceOffset: offset, Data: []byte(content)})
	}
	length := func() uint64 {
		return c.lobOp(ttc.LOBCall{Operation: ttc.LOBLength, Source: locator, HasAmount: true}).Amount
	}
	write(1, "hello world")
	write(7, "wörld😀")
	if got := c.readLOB(locator, 1, 100); got != "hello wörld😀" || length() != 13 {
		t.Errorf("%q, length %d", got, length())
	}
	write(16, "x")
	if got := c.readLOB(locator, 12, 100); got != "😀  x" {
		t.Errorf("after a gap: %q", got)
	}
	c.lobOp(ttc.LOBCall{Operation: ttc.LOBTrim, Source: locator, HasAmount: true, Amount: 8})
	if got := c.readLOB(locator, 1, 100); got != "hello wö" {
		t.Errorf("trimmed: %q", got)
	}
	isOpen := func() bool {
		return c.lobOp(ttc.LOBCall{Operation: ttc.LOBIsOpen, Source: locator, WantNull: true}).Null
	}
	if isOpen() {
		t.Error("open at first")
	}
	c.lobOp(ttc.LOBCall{Operation: ttc.LOBOpen, Source: locator, HasAmount: true, Amount: 2})
	if !isOpen() {
		t.Error("not open")
	}
	c.lobOp(ttc.LOBCall{Operation: ttc.LOBClose, Source: locator})
	if chunk := c.lobOp(ttc.LOBCall{Operation: ttc.LOBChunkSize, Source: locator, HasAmount: true}).Amount; chunk != lobChunk {
		t.Errorf("chunk %d", chunk)
	}
	c.exec("create table t (c clob)", options{})
	_, r := c.exec("insert into t values (:1)", options{binds: []ttc.Bind{lobBind(ttc.TypeCLOB)}, rows: rowsOf(ttc.Value{Bytes: locator})})
	r.must(c)
	if got := c.count("t where to_char(c) = 'hello wö'"); got != "1" {
		t.Error("the LOB bound is not what is stored")
	}
	other := c.temporary(ttc.TypeCLOB, ttc.FormImplicit)
	for _, operation := range []ttc.LOBOperation{ttc.LOBAppend, ttc.LOBCopy} {
		c.lobOp(ttc.LOBCall{
			Operation: operation, Source: locator, Destination: other, DestinationLength: uint32(len(other)), SourceOffset: 1, DestinationOffset: 1,
			HasAmount: true, Amount: 2,
		})
	}
	if got := c.readLOB(other, 1, 100); got != "hello wö" {
		t.Errorf("appended and copied: %q", got)
	}
	free := ttc.LOBCall{Operation: ttc.LOBFreeTemp | ttc.LOBArray, Source: append(append([]byte{}, locator...), other...)}
	c.send(ttc.AppendCall(ttc.AppendPiggyback(nil, c.dialect, ttc.FunctionLOB, &free), c.dialect, ttc.FunctionPing, nil))
	c.answer(&cursorState{})
	if _, end := c.lobCall(ttc.LOBCall{Operation: ttc.LOBLength, Source: locator, HasAmount: true}); end.Code != 22922 {
		t.Errorf("a freed LOB: %d %s, want 22922", end.Code, end.Text)
	}
}

func TestNationalLOB(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	locator := c.temporary(ttc.TypeCLOB, ttc.FormNational)
	content := ttc.AppendCharacters(nil, "né€😀", ttc.FormNational)
	c.lobOp(ttc.LOBCall{Operation: ttc.LOBWrite, Source: locator, SourceOffset: 1, Data: content})
	if got := c.readLOB(locator, 1, 10); got != string(content) {
		t.Errorf("% x, want % x", got, content)
	}
	if locator[locatorCharset]&storedUTF16 == 0 {
		t.Error("the locator does not say that data is in UTF-16")
	}
}

func TestLOBMistakes(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	blob, clob := c.temporary(ttc.TypeBLOB, 0), c.temporary(ttc.TypeCLOB, 1)
	foreign := append([]byte{}, blob...)
	foreign[locatorTag] ^= 1 // of another session
	for _, test := range []struct {
		name string
		call ttc.LOBCall
		code uint32
	}{
		{"another session's", ttc.LOBCall{Operation: ttc.LOBLength, Source: foreign, HasAmount: true}, 22922},
		{"no locator", ttc.LOBCall{Operation: ttc.LOBLength, HasAmount: true}, 22922},
		{"short locator", ttc.LOBCall{Operation: ttc.LOBLength, Source: []byte{1}, HasAmount: true}, 22922},
		{"offset 0", ttc.LOBCall{Operation: ttc.LOBRead, Source: blob, HasAmount: true}, 24801},
		{"write at 0", ttc.LOBCall{Operation: ttc.LOBWrite, Source: blob}, 24801},
		{"far too far", ttc.LOBCall{Operation: ttc.LOBWrite, Source: blob, SourceOffset: 1 << 40, Data: []byte("x")}, 22993},
		{"trim to more", ttc.LOBCall{Operation: ttc.LOBTrim, Source: blob, HasAmount: true, Amount: 5}, 22926},
		{"bytes to characters", ttc.LOBCall{Operation: ttc.LOBAppend, Source: blob, Destination: clob, DestinationLength: uint32(len(clob))}, 24801},
		{"copy from 0", ttc.LOBCall{Operation: ttc.LOBCopy, Source: blob, Destination: blob, DestinationLength: uint32(len(blob)), HasAmount: true}, 24801},
		{"to nothing", ttc.LOBCall{Operation: ttc.LOBAppend, Source: blob, Destination: foreign, DestinationLength: uint32(len(blob))}, 22922},
		{"short room", ttc.LOBCall{Operation: ttc.LOBCreateTemp, Source: make([]byte, 8), DestinationOffset: uint64(ttc.TypeBLOB)}, 24801},
		{"unknown", ttc.LOBCall{Operation: 0x77, Source: blob}, 3001},
	} {
		if _, end := c.lobCall(test.call); end.Code != test.code {
			t.Errorf("%s: %d %s, want %d", test.name, end.Code, end.Text, test.code)
		}
	}
	_, r := c.exec("select :1 a from dual", options{binds: []ttc.Bind{lobBind(ttc.TypeCLOB)}, rows: rowsOf(ttc.Value{Bytes: foreign})})
	r.want(c, 22922)
	if got := c.readLOB(blob, 100, 5); got != "" {
		t.Errorf("beyond the end: %q", got)
	}
}

func TestLOBOut(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	_, r := c.exec("begin :o := 'some text'; end;", options{binds: []ttc.Bind{lobBind(ttc.TypeCLOB)}, rows: rowsOf(ttc.Value{})})
	cell := r.must(c).outs[0][0].(ttc.LOBCell)
	if got := c.readLOB(cell.Locator, 1, cell.Length); got != "some text" || cell.Locator[locatorTemporary]&temporaryBit == 0 {
		t.Errorf("%q by locator % x", got, cell.Locator)
	}
}

// The store forgets the oldest LOBs of tables, never temporary ones.
func TestLOBStoreIsBounded(t *testing.T) {
	var s lobStore
	first := s.add(&lob{data: []byte("first")})
	kept := s.add(&lob{data: []byte("kept"), temporary: true})
	for range maxLOBs {
		s.add(&lob{})
	}
	if _, err := s.find(first); err == nil {
		t.Error("the oldest LOB is still there")
	}
	if l, err := s.find(kept); err != nil || string(l.data) != "kept" {
		t.Errorf("the temporary LOB: %v", err)
	}
	if s.free(kept); len(s.lobs) > maxLOBs {
		t.Errorf("%d LOBs", len(s.lobs))
	}
}

// Reads, writes and trims do what they would do to a slice of UTF-16 units,
// but that no read ends inside a character.
func TestLOBLikeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		character := rapid.Bool().Draw(t, "character")
		l := &lob{character: character}
		var model []uint16
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			offset := rapid.Uint64Range(0, 20).Draw(t, "offset")
			content := rapid.SampledFrom([]string{"", "a", "hello", "é€", "x😀y"}).Draw(t, "content")
			units := utf16.Encode([]rune(content))
			if !character {
				units = units[:0]
				for _, b := range []byte(content) {
					units = append(units, uint16(b))
				}
			}
			if character && splits(model, int(offset)) || character && splits(model, int(offset)+len(units)) {
				continue // half a character would be overwritten
			}
			filler := uint16(0)
			if character {
				filler = ' '
			}
			if err := l.write(offset, []byte(content)); err != nil {
				t.Fatal(err)
			}
			model = overwrite(model, int(offset), units, filler)
			if l.length() != uint64(len(model)) {
				t.Fatalf("length %d, want %d", l.length(), len(model))
			}
			at := rapid.Uint64Range(0, 25).Draw(t, "at")
			if character && splits(model, int(at)) {
				continue
			}
			data, got := l.read(at, rapid.Uint64Range(0, 25).Draw(t, "amount"), false)
			want := model[min(at, uint64(len(model))):min(at+got, uint64(len(model)))]
			if !bytes.Equal(data, encodeModel(want, character)) {
				t.Fatalf("read % x, want %v", data, want)
			}
		}
	})
}

func splits(units []uint16, at int) bool {
	return at > 0 && at < len(units) && units[at] >= firstLowSurrogate && units[at] < 0xE000
}

func encodeModel(units []uint16, character bool) []byte {
	if character {
		return []byte(string(utf16.Decode(units)))
	}
	var b []byte
	for _, u := range units {
		b = append(b, byte(u))
	}
	return b
}
