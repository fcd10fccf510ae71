package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"servicebroker/tns"
)

// A successor that may have fewer descriptors takes as many sessions as it has room for; all others go on in the old process.
func TestASuccessorShortOfDescriptorsTakesWhatItCan(t *testing.T) {
	r := startReal(t, nil)
	at := r.address()
	instance(t, at, "sales")
	within(t, "the service is there", func() bool {
		_, _, code := command(t, "--api", r.api, "services", "sales")
		return code == exitDone
	})
	var sessions []*tns.Conn
	for range 100 {
		c := dial(t, at)
		if err := c.Send(tns.NewConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"))); err != nil {
			t.Fatal(err)
		}
		if reply, err := c.ReadReply(); err != nil {
			t.Fatal(err)
		} else if _, is := reply.(*tns.Accept); !is {
			t.Fatalf("a client is answered %v", reply)
		}
		sessions = append(sessions, c)
	}
	self, err := os.Readlink(r.program)
	if err == nil {
		err = errors.Join(os.Remove(r.program), os.WriteFile(r.program, fmt.Appendf(nil, "#!/bin/sh\nulimit -n 128\nexec %s \"$@\"\n", self), 0o700))
	}
	if err != nil {
		t.Fatal(err)
	}
	says(t, []string{"--api", r.api, "upgrade"}, "Generation 2 serves")
	for n, one := range sessions {
		c := one.NetConn()
		if _, err := io.WriteString(c, "ping"); err != nil {
			t.Fatalf("session %d: %v", n, err)
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Fatalf("session %d: %v", n, err)
		}
	}
	all := r.generations()
	if len(all) != 2 {
		t.Fatalf("%+v", all)
	}
	for _, g := range all {
		if g.Sessions == 0 || g.Sessions == len(sessions) {
			t.Errorf("%+v", g)
		}
	}
	says(t, []string{"--api", r.api, "shutdown", "--abort"}, "ends now")
}
