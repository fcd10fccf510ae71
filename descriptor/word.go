package descriptor

// word reads one name or value from where the cursor is: quoted, if it begins with a quote, else up to the first byte of
// a kind in stops, without blanks at its end.
//
// A backslash takes the meaning from a reserved character after it and is an ordinary character elsewhere. Of several
// before a reserved character each pair stands for one. Windows paths thus read as they are written.
func (c *cursor) word(stops byte) (text string, quoted bool) {
	if !c.ended() && kindOf[c.text[c.pos]] == quote {
		return c.quotedWord(), true
	}
	stops |= backslash
	if c.comments {
		stops |= hash
	}
	w := pieces{cursor: c, from: c.pos}
	for !c.ended() {
		switch kind := kindOf[c.text[c.pos]]; {
		case kind&stops == 0:
			c.pos++
		case kind == backslash:
			run, next := c.backslashes()
			w.unescape(run, kindOf[next]&reserved != 0)
		case kind == hash && !c.comment(c.pos):
			c.pos++
		case kind == hash:
			w.cut(c.pos)
			c.toLineEnd()
			w.from = c.pos
		default:
			return trimmed(w.text()), false
		}
	}
	return trimmed(w.text()), false
}

// trimmed is text without blanks at its end.
func trimmed(text string) string {
	for len(text) > 0 && kindOf[text[len(text)-1]]&blank != 0 {
		text = text[:len(text)-1]
	}
	return text
}

// quotedWord reads from the opening quote to the closing one. Between them only the quote itself and backslashes before
// it mean anything.
func (c *cursor) quotedWord() string {
	opening := c.pos
	mark := c.text[opening]
	c.pos++
	w := pieces{cursor: c, from: c.pos}
	for !c.ended() {
		switch next := c.text[c.pos]; {
		case next == mark:
			text := w.text()
			c.pos++
			return text
		case next == '\\':
			run, follower := c.backslashes()
			w.unescape(run, follower == mark)
		default:
			c.pos++
		}
	}
	c.fail(opening, "the quote opened here is never closed",
		"close it, or write a backslash before it if it belongs to the text")
	return ""
}

// pieces puts a word together from what the cursor passes over. Nothing is copied unless something is left out.
type pieces struct {
	cursor *cursor
	from   int    // what is not in kept yet begins here
	kept   []byte // nil until something is left out
}

// cut keeps what was passed up to end.
func (w *pieces) cut(end int) { w.kept = append(w.kept, w.cursor.text[w.from:end]...) }

// unescape passes a run of backslashes. If they escape the byte after them, one of each pair is left out, and after an odd
// run that byte is passed as well, as part of the word.
func (w *pieces) unescape(run int, escapes bool) {
	c := w.cursor
	if escapes {
		w.cut(c.pos + run/2)
		w.from = c.pos + run
		if run%2 == 1 {
			c.pos++
		}
	}
	c.pos += run
}

// text is the word up to the cursor.
func (w *pieces) text() string {
	if w.kept == nil {
		return w.cursor.text[w.from:w.cursor.pos]
	}
	w.cut(w.cursor.pos)
	return string(w.kept)
}
