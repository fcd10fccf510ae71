package broker

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Kinds of sockets, as successors and service managers name them.
const (
	socketListener = "listener" // an ADDRESS
	socketConsole  = "console"
	socketREST     = "rest"
	socketMetrics  = "metrics"
	socketAdmin    = "admin"
)

// socketKey says which socket is meant: the address as it is configured, not as it is bound.
type socketKey struct {
	Kind    string `json:"kind"`
	Address string `json:"address"`          // host:port, or a path
	Number  int    `json:"number,omitempty"` // of several that are the same otherwise
}

func (k socketKey) String() string { return strings.TrimSpace(k.Kind + " " + k.Address) }

// openSocket is one that a successor is given.
type openSocket struct {
	key  socketKey
	file func() (*os.File, error) // a copy of it
}

// ActivatedSocket is one that was open before this process began.
type ActivatedSocket struct {
	Name string // by which its giver knows it; need not mean anything here
	File *os.File
}

// sockets are those that a broker has, and those that it found when it began.
type sockets struct {
	found     map[socketKey]*os.File // from its predecessor
	activated []ActivatedSocket
	open      []openSocket
}

// add notes a socket, so that a successor is given it.
func (s *sockets) add(key socketKey, file func() (*os.File, error)) {
	s.open = append(s.open, openSocket{key, file})
}

// key makes the key of a socket that is about to be opened.
func (s *sockets) key(kind, address string) socketKey {
	k := socketKey{Kind: kind, Address: address}
	for _, o := range s.open {
		if o.key.Kind == k.Kind && o.key.Address == k.Address {
			k.Number++
		}
	}
	return k
}

// take returns a socket that was found, nil if there is none such.
func (s *sockets) take(key socketKey) *os.File {
	if file := s.found[key]; file != nil {
		delete(s.found, key)
		return file
	}
	at := slices.IndexFunc(s.activated, func(a ActivatedSocket) bool { return isBoundTo(a.File, key.Address) })
	if at < 0 {
		at = slices.IndexFunc(s.activated, func(a ActivatedSocket) bool { return a.Name == key.Kind })
	}
	if at < 0 {
		return nil
	}
	file := s.activated[at].File
	s.activated = slices.Delete(s.activated, at, at+1)
	return file
}

// isBoundTo tells whether a socket is at an address as a configuration has it.
func isBoundTo(file *os.File, address string) bool {
	name, err := boundTo(file)
	if err != nil {
		return false
	}
	if strings.HasPrefix(address, "/") || strings.HasPrefix(name, "/") {
		return name == address
	}
	host, port, err := net.SplitHostPort(address)
	at, failed := netip.ParseAddrPort(name)
	if err != nil || failed != nil || port != fmt.Sprint(at.Port()) {
		return false
	}
	meant, err := netip.ParseAddr(cmp.Or(host, "::"))
	if err != nil {
		return false
	}
	is := at.Addr().Unmap()
	return meant.Unmap() == is || meant.IsUnspecified() && is.IsUnspecified()
}

// boundTo is the address of a socket.
func boundTo(file *os.File) (string, error) {
	l, err := net.FileListener(file)
	if err == nil {
		defer l.Close() // of a copy
		return l.Addr().String(), nil
	}
	c, err := net.FilePacketConn(file)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.LocalAddr().String(), nil
}

// leave closes what was found and nobody took, and returns how it is called.
func (s *sockets) leave() (names []string) {
	for key, file := range s.found {
		names = append(names, key.String())
		_ = file.Close()
	}
	for _, a := range s.activated {
		at, _ := boundTo(a.File)
		names = append(names, strings.TrimSpace(a.Name+" "+at))
		_ = a.File.Close()
	}
	s.found, s.activated = nil, nil
	return names
}

// passable is a socket of which a copy can be had.
type passable interface{ File() (*os.File, error) }

// listen returns a listener that was found for an address, else the one that fresh makes.
func (b *Broker) listen(kind, address string, fresh func() (net.Listener, error)) (net.Listener, error) {
	key := b.sockets.key(kind, address)
	var l net.Listener
	var err error
	if file := b.sockets.take(key); file != nil {
		l, err = listensAs(kind, file)
		err = errors.Join(err, file.Close())
	} else {
		l, err = fresh()
	}
	if err != nil {
		return nil, err
	}
	if of, ok := l.(passable); ok {
		b.sockets.add(key, of.File)
	}
	return l, nil
}

// listensAs makes a listener of a socket, if that is of the sort that is needed.
func listensAs(kind string, file *os.File) (net.Listener, error) {
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("the socket that was open before cannot be listened on: %w", err)
	}
	_, overTCP := l.(*net.TCPListener)
	_, overUnix := l.(*net.UnixListener)
	if kind == socketAdmin && !overUnix || kind != socketAdmin && !overTCP {
		defer l.Close()
		return nil, fmt.Errorf("the socket that was open before is of another sort, %s", l.Addr().Network())
	}
	return l, nil
}

// listenHTTP is listen for an address of HTTP.
func (b *Broker) listenHTTP(kind, address string) (net.Listener, error) {
	return b.listen(kind, address, func() (net.Listener, error) { return net.Listen("tcp", address) })
}

// openStateDir opens the state folder, with the lock of a predecessor that has the same.
func (b *Broker) openStateDir(path string) (*stateDir, error) {
	p := b.process.Before
	if p == nil || p.lock == nil || p.state.Path != path {
		return openState(path)
	}
	lock := p.lock
	p.lock = nil
	return &stateDir{path: path, lock: lock}, nil
}
