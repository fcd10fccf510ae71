package broker

import (
	"context"
	"net/netip"
	"strings"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/tns"
)

// Explain tells what would become of a connect.
func (b *Broker) Explain(ctx context.Context, q console.ExplainRequest) (*journal.Explanation, error) {
	n, err := asked(q.Descriptor)
	if err != nil {
		return nil, err
	}
	if q.User != "" || q.Program != "" {
		data := descriptor.ConnectData(n)
		if data != nil {
			cid := &descriptor.Node{Name: "CID"}
			cid.Set("PROGRAM", q.Program)
			cid.Set("HOST", "")
			cid.Set("USER", q.User)
			data.Remove("CID")
			data.Add(cid)
		}
	}
	from := q.From
	if !from.IsValid() {
		from = netip.MustParseAddr("127.0.0.1")
	}
	inquiry := relay.Inquiry{Descriptor: n.String(), From: from}
	at := b.dialled(ctx, n)
	if at < len(b.listeners) {
		inquiry.ArrivedOn, inquiry.Network = b.listeners[at].Addr().String(), b.networkOf(at)
		front := &b.security.current.Load().listening[at]
		sni, _ := descriptor.Truth(n.Text("USE_SNI"))
		inquiry.Secure, inquiry.Sealed = front.source != nil, front.passthrough && sni
	}
	e := b.relay.Explain(ctx, inquiry)
	if err := b.foreseeArrival(at, from); err != nil { // it would not come so far
		e.Outcome, e.Code, e.Text = journal.Refuse, int(tns.CodeRateLimit), strings.TrimSuffix(err.Error()+"; else: "+e.Text, "; else: ")
	}
	return e, nil
}

// dialled finds at which of the broker's addresses a descriptor arrives: the first where it
// names none of them.
func (b *Broker) dialled(ctx context.Context, n *descriptor.Node) int {
	for _, node := range descriptor.Addresses(n) {
		a, err := node.Address()
		if err != nil {
			continue
		}
		for at, l := range b.listeners {
			if b.isAt(l, a.Host, a.Port, b.hosts.claimed) {
				return at
			}
		}
	}
	return 0
}

// asked reads a descriptor, Easy Connect text, or the bare name of a service.
func asked(text string) (*descriptor.Node, error) {
	if !strings.ContainsAny(text, "(/:=") {
		data := &descriptor.Node{Name: "CONNECT_DATA"}
		data.Set("SERVICE_NAME", strings.TrimSpace(text))
		return &descriptor.Node{Name: "DESCRIPTION", Children: []*descriptor.Node{data}}, nil
	}
	return descriptor.ParseConnect(text)
}
