package tns

// Redirect sends a client elsewhere (tns.md 4).
type Redirect struct {
	Address     string // (ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=n)), or a descriptor that holds one
	ConnectData string // what the client sends there; empty: its own connect data
}

// AppendTo appends the two packets that every driver takes (tns.md 4): the 10-byte
// REDIRECT with its flag, and one DATA with DataEOF.
func (r *Redirect) AppendTo(dst []byte, _ bool) []byte { return dst }

// Decode reads a REDIRECT. following is the length of text that comes in DATA packets
// after it; 0 if Address and ConnectData are complete.
func (r *Redirect) Decode(p Packet) (following int, err error) {
	*r = Redirect{}
	return 0, wantType(p, TypeRedirect)
}
