package certs

import (
	"fmt"
	"strconv"
	"strings"
)

// OracleSNI is the server name by which an Oracle client with USE_SNI=ON says in its
// ClientHello what it will ask for (tns.md 7): not a host, but
// "S<length>.<service>[.I<length>.<instance>][.T1.<server>][.C<length>.<tag>].V3.<version>".
type OracleSNI struct {
	Service       string // SERVICE_NAME
	Instance      string // INSTANCE_NAME; "" if none is asked for
	Server        string // first letter of SERVER: "d", "s" or "p"; "" if none is asked for
	ColocationTag string
	Version       int // of the protocol, 319; 0 if the name has none
}

// maxSNI is the longest such name a client sends.
const maxSNI = 256

// ParseSNI reads such a server name. ok is false for a host name and whatever else has
// another form; that is no error, since a client may send any name it likes. Parts of a
// kind not listed above are skipped.
func ParseSNI(name string) (sni OracleSNI, ok bool) {
	if len(name) > maxSNI {
		return OracleSNI{}, false
	}
	for rest, more := name, true; more; more = rest != "" {
		var kind byte
		var value string
		if kind, value, rest, ok = cutSNI(rest); !ok || !sni.set(kind, value) {
			return OracleSNI{}, false
		}
	}
	if sni.Service == "" {
		return OracleSNI{}, false
	}
	return sni, true
}

// cutSNI cuts "K<length>.<value>" off s, and the dot before what follows.
func cutSNI(s string) (kind byte, value, rest string, ok bool) {
	head, tail, found := strings.Cut(s, ".")
	if !found || len(head) < 2 || len(head) > 4 || head[0] < 'A' || head[0] > 'Z' || head[1] < '1' || head[1] > '9' {
		return 0, "", "", false
	}
	length, err := strconv.Atoi(head[1:])
	if err != nil || length > len(tail) {
		return 0, "", "", false
	}
	value, rest = tail[:length], tail[length:]
	if rest == "" {
		return head[0], value, "", true
	}
	return head[0], value, rest[1:], rest[0] == '.' && len(rest) > 1
}

// set keeps one part; false if it contradicts what is there.
func (n *OracleSNI) set(kind byte, value string) bool {
	field := map[byte]*string{'S': &n.Service, 'I': &n.Instance, 'T': &n.Server, 'C': &n.ColocationTag}[kind]
	switch {
	case field != nil && *field == "":
		*field = value
	case field != nil:
		return false
	case kind == 'V' && n.Version == 0:
		version, err := strconv.ParseUint(value, 10, 16)
		n.Version = int(version)
		return err == nil && version > 0
	case kind == 'V':
		return false
	}
	return true
}

// String is the server name, with the parts in the order in which clients send them.
func (n OracleSNI) String() string {
	var b strings.Builder
	part := func(kind byte, value string) {
		if value == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		fmt.Fprintf(&b, "%c%d.%s", kind, len(value), value)
	}
	part('S', n.Service)
	part('I', n.Instance)
	part('T', n.Server)
	part('C', n.ColocationTag)
	if n.Version > 0 {
		part('V', strconv.Itoa(n.Version))
	}
	return b.String()
}
