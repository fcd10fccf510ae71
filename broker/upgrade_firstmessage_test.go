package broker

import (
	"testing"

	"servicebroker/registration"
	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// A database that an upgrade meets in the middle of its first message says the rest of it to the successor.
func TestADatabaseMovesInItsFirstMessage(t *testing.T) {
	r, next := succeedable(t, nil)
	conn := r.dial()
	if err := conn.Send(tns.NewConnect([]byte("(CONNECT_DATA=(COMMAND=service_register_NSGR))"))); err != nil {
		t.Fatal(err)
	}
	reply, err := conn.ReadReply()
	accept, ok := reply.(*tns.Accept)
	if !ok {
		t.Fatalf("%T, %v", reply, err)
	}
	conn.SetVersion(accept.Version)
	one := registrationOf(t, "s1", "sales")
	one.HostRaw = "(HOST=s1-host)"
	h := &one.Handlers[0]
	h.Address, h.Info, h.Flags = "(ADDRESS=(PROTOCOL=TCP)(HOST="+h.Host+")(PORT=1521))", "REMOTE SERVER", 2
	message, err := registration.ToMessage(one, nsgr.Representation{})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := message.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	stream := tns.AppendData(nil, 0, payload, 0, accept.Version >= tns.VersionLargeSDU)
	half := len(stream) / 2
	_, _ = conn.NetConn().Write(stream[:half])
	until(t, "it is admitted", func() bool { return r.open.count()["registration"] == 1 })
	after, _ := r.succeed(next)
	r.over()
	if _, err := conn.NetConn().Write(stream[half:]); err != nil {
		t.Fatal(err)
	}
	after.await(func(s *servicetable.Snapshot) bool { _, err := s.Service("sales"); return err == nil })
}
