package ttc

// CLR reads a length-prefixed value in one piece or in chunks. NULL and the
// empty value give nil.
func (r *Reader) CLR() []byte {
	switch length := r.Byte(); length {
	case 0, nullLength:
		return nil
	case longLength:
		return r.chunks()
	case escapeLength:
		r.malformed("value with length byte FD")
		return nil
	default:
		return r.Bytes(int(length))
	}
}

// chunks reads what follows the length byte FE: pieces, each after its ub4
// length, up to one of length zero. Big chunks are assumed, as all drivers do
// once they are advertised (ttc.md 4).
func (r *Reader) chunks() []byte {
	var all []byte
	for r.err == nil {
		n := r.UB4()
		if n == 0 {
			break
		}
		if uint64(n) > uint64(r.limit()) {
			r.malformed("chunk of %d bytes", n)
			break
		}
		chunk := r.Bytes(int(n))
		if all == nil {
			all = chunk // capacity ends with it, so a second chunk copies
			continue
		}
		all = append(all, chunk...)
	}
	if r.err != nil || len(all) == 0 {
		return nil
	}
	return all
}

// DLC reads a value with two lengths: a ub4 and, unless that is zero, a CLR
// which alone is believed.
func (r *Reader) DLC() []byte {
	if r.UB4() == 0 {
		return nil
	}
	return r.CLR()
}

// Text reads the characters of a call's argument whose announced length is n:
// a CLR or raw bytes, as the dialect says (ttc.md 5.3).
func (r *Reader) Text(n uint32, d Dialect) []byte {
	if n == 0 {
		return nil
	}
	if d.CLRText {
		return r.CLR()
	}
	if uint64(n) > uint64(r.limit()) {
		r.malformed("text of %d bytes", n)
		return nil
	}
	return r.Bytes(int(n))
}

// Pair is a key, its value and a number that belongs to it (for most keys
// zero; for AUTH_VFR_DATA the verifier's type).
type Pair struct {
	Key, Value string
	Flags      uint32
}

// maxPairs bounds a list of pairs. Drivers send about twenty.
const maxPairs = 4096

func (r *Reader) pairs() []Pair {
	return r.nPairs(r.Count(maxPairs))
}

func (r *Reader) nPairs(n int) []Pair {
	var pairs []Pair
	for range n {
		pair := Pair{Key: trimNUL(r.DLC()), Value: string(r.DLC()), Flags: r.UB4()}
		if r.err != nil {
			return nil
		}
		pairs = append(pairs, pair)
	}
	return pairs
}

// trimNUL drops the zero byte some drivers end a name with.
func trimNUL(b []byte) string {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}
