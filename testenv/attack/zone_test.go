package attack

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/broker"
)

// A zone of more than 64 kB is copied by whoever may in as many messages as it takes; who may not gets no more bytes for any
// request than he sent, by either protocol.
func TestLargeZones(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		t.Run(fmt.Sprint("allowed ", allowed), func(t *testing.T) {
			from := netip.MustParseAddrPort("192.0.2.53:53")
			if allowed {
				from = netip.MustParseAddrPort("127.0.0.1:9")
			}
			w := start(t, func(c *broker.Config) { c.DNS.Secondaries = []broker.DNSSecondary{{Address: from}} })
			withdraw := w.registerAs(largeOffer().registration())
			for _, kind := range []uint16{wire.TypeAXFR, wire.TypeIXFR} {
				m := new(wire.Msg)
				m.SetQuestion("db.example.", kind)
				asked, err := m.Pack()
				must(t, err)
				before := w.metrics()
				if allowed {
					w.eventually(t, func() error { // the zone follows the table
						if messages, bytes := w.transfer(t, asked); bytes < 2*wire.MaxMsgSize || messages < 4 {
							return fmt.Errorf("%s: %d bytes in %d messages", wire.TypeToString[kind], bytes, messages)
						}
						return nil
					})
					continue
				}
				if messages, bytes := w.transfer(t, asked); bytes > len(asked) || messages != 1 {
					t.Errorf("a stranger gets %d bytes in %d messages for %d", bytes, messages, len(asked))
				}
				w.counted(t, before, "dns")
			}
			withdraw()
			w.unharmed()
		})
	}
}

// largeOffer is of many services.
func largeOffer() offer {
	o := offer{instance: "many1", at: []string{"127.0.0.1:1521"}}
	for i := range 2000 {
		o.services = append(o.services, fmt.Sprintf("many%d", i))
	}
	return o
}

// transfer asks the DNS over TCP, and counts what comes until nothing more does.
func (w *world) transfer(t *testing.T, request []byte) (messages, bytes int) {
	t.Helper()
	c, err := net.Dial("tcp", w.dnsAt())
	must(t, err)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(answerLimit))
	_, err = c.Write(append([]byte{byte(len(request) >> 8), byte(len(request))}, request...))
	must(t, err)
	halfClose(c)
	for length := make([]byte, 2); ; messages++ {
		if _, err := io.ReadFull(c, length); err == io.EOF {
			return messages, bytes
		} else if err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyN(io.Discard, c, int64(length[0])<<8|int64(length[1]))
		must(t, err)
		bytes += int(n)
	}
}
