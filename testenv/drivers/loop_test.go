package drivers

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"servicebroker/registration/nsgr"
)

// pointingAt is a registration of sales whose one handler is at an address.
func pointingAt(t *testing.T, address string) []byte {
	t.Helper()
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	m, err := nsgr.New(nsgr.Linux64(), []nsgr.Node{
		nsgr.NewInstance([16]byte{7}, nsgr.Instance{Name: nsgr.NewText("sales1"), Host: nsgr.NewText("(HOST=elsewhere)"), NodeMax: 100, Max: 247}),
		nsgr.NewService(nsgr.Service{Name: nsgr.NewText("sales"), Flags: 4, Delta: 1}),
		nsgr.NewHandler([16]byte{8}, nsgr.Handler{Name: nsgr.NewText("DEDICATED"), Max: 149, Flags: 2,
			Address: nsgr.NewText(fmt.Sprintf("(ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%d))", host, port)), Info: nsgr.NewText("REMOTE SERVER")}, "sales"),
	})
	if err != nil {
		t.Fatal(err)
	}
	message, err := m.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// Two brokers that each take the other for an instance: a client is refused in the
// end, and neither broker is lost in a circle.
func TestBrokersInACircle(t *testing.T) {
	for _, modes := range [][2]string{{relaying, relaying}, {redirecting, redirecting}, {relaying, redirecting}} {
		t.Run(modes[0]+" and "+modes[1], func(t *testing.T) {
			var brokers [2]*broker
			for i, mode := range modes {
				brokers[i] = startBroker(t, brokerOptions{parameters: []string{"ROUTE=" + mode, "ATTEMPT_TIMEOUT=1", "OUTBOUND_CONNECT_TIMEOUT=4"}})
			}
			for i, b := range brokers {
				writeAll(t, register(t, b.address, registerConnect()), rawData(pointingAt(t, brokers[1-i].address)))
				b.awaitService(t, "sales", "READY", 1)
			}
			eachDriver(t, func(t *testing.T, d Driver) {
				began := time.Now()
				results := work(t, d, []Step{open("c", brokers[0].descriptor("(SERVICE_NAME=sales)"))}, nil)
				t.Logf("%v: %s", time.Since(began), results[0].Error)
				if results[0].Error == "" {
					t.Error("a client got in where nobody is")
				}
			})
			for _, b := range brokers {
				b.awaitNoSessions(t)
				if n := b.openFiles(t); n > 100 {
					t.Errorf("%d descriptors are open", n)
				}
			}
		})
	}
}
