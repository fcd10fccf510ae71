package broker

import (
	"context"
	"net"
	"os"

	"servicebroker/discovery/dns"
)

// Kinds of sockets of the zone.
const (
	socketDNS  = "dns"
	socketDNSU = "dns-udp" // several at the same address
)

// listenDNS returns the sockets of the zone that were found, else new ones.
func (b *Broker) listenDNS(address string) (*dns.Sockets, error) {
	found := b.foundDNS(address)
	if found == nil {
		var err error
		if found, err = dns.Listen(context.Background(), address); err != nil {
			return nil, err
		}
	}
	if of, ok := found.TCP.(passable); ok {
		b.sockets.add(b.sockets.key(socketDNS, address), of.File)
	}
	for _, c := range found.UDP {
		if of, ok := c.(passable); ok {
			b.sockets.add(b.sockets.key(socketDNSU, address), of.File)
		}
	}
	return found, nil
}

// foundDNS returns sockets that were open before; nil if they are not all there.
func (b *Broker) foundDNS(address string) *dns.Sockets {
	tcp := b.sockets.take(socketKey{Kind: socketDNS, Address: address})
	if tcp == nil {
		return nil
	}
	all := &dns.Sockets{}
	l, err := listensAs(socketDNS, tcp)
	closeFiles([]*os.File{tcp})
	if err != nil {
		return nil
	}
	all.TCP = l
	for n := 0; ; n++ {
		file := b.sockets.take(socketKey{Kind: socketDNSU, Address: address, Number: n})
		if file == nil {
			break
		}
		c, err := net.FilePacketConn(file)
		closeFiles([]*os.File{file})
		if _, is := c.(*net.UDPConn); err != nil || !is {
			if c != nil {
				_ = c.Close()
			}
			all.Close()
			return nil
		}
		all.UDP = append(all.UDP, c)
	}
	if len(all.UDP) == 0 {
		all.Close()
		return nil
	}
	return all
}
