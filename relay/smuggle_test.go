package relay

import (
	"slices"
	"strings"
	"testing"

	"servicebroker/tns"
)

// What rules judged is all that is sent on of what a client asks for.
func TestNothingElseIsAskedOnARoute(t *testing.T) {
	for _, data := range []string{
		"(SERVICE_NAME=sales)(SERVICE_NAME=payroll)", "(SERVICE_NAME=sales)(SID=payroll)", "(SID=payroll)(SERVICE_NAME=sales)",
		"(service_name=sales)(Service_Name=payroll)(sid=payroll)", "(SERVICE_NAME=SALES)(SID=sales)",
	} {
		w := routed(t, "* 10.9.0.1 sales accept")
		w.hop("10.9.0.1:1521", func(conn *tns.Conn, connect *tns.Connect) {
			asked := asksOf(t, connect).Child("CONNECT_DATA")
			if len(asked.All("SERVICE_NAME")) != 1 || asked.Child("SID") != nil || strings.Contains(string(connect.Data), "payroll") {
				t.Errorf("%s was sent on as %s", data, connect.Data)
			}
			accepts(conn, connect)
		})
		w.wantAccepted(strings.Replace(via("10.9.0.1"), "(SERVICE_NAME=sales)", data, 1))
	}
	w := routed(t, "* 10.9.0.1 ora1 accept")
	w.hop("10.9.0.1:1521", func(conn *tns.Conn, connect *tns.Connect) {
		if strings.Contains(string(connect.Data), "payroll") {
			t.Errorf("sent on as %s", connect.Data)
		}
		accepts(conn, connect)
	})
	w.wantAccepted(strings.Replace(via("10.9.0.1"), "(SERVICE_NAME=sales)", "(SID=ora1)(SID=payroll)", 1))
}

// A hop that the client names cannot ask another database for what the client may not have.
func TestRedirectsOfAHopAskForWhatWasJudged(t *testing.T) {
	for data, follows := range map[string]bool{
		"(SERVICE_NAME=sales)": true, "(SERVICE_NAME=SALES)(INSTANCE_NAME=s1)": true, "(SERVICE_NAME=payroll)": false, "(SERVICE_NAME=sales)(SERVICE_NAME=payroll)": false,
		"(SERVICE_NAME=sales)(SID=payroll)": false, "(COMMAND=stop)": false, "(SERVICE_NAME=sales)(COMMAND=stop)": false, "(SID=payroll)": false,
	} {
		w := routed(t, "* * sales accept")
		w.hop("10.9.0.1:1521", func(conn *tns.Conn, _ *tns.Connect) {
			_ = conn.Send(&tns.Redirect{Address: stop("db2"), ConnectData: "(DESCRIPTION=(CONNECT_DATA=" + data + "))"})
		})
		w.hop("10.9.0.2:1521", accepts)
		client := w.client(via("db1"))
		if m := w.reply(client); isAccept(m) != follows {
			t.Errorf("%s: answered %v", data, m)
		}
		client.NetConn().Close()
		if slices.Contains(w.asked, "10.9.0.2:1521") != follows {
			t.Errorf("%s: dialled %v", data, w.asked)
		}
	}
}

// A route of the client's own is no way round the network of a service.
func TestRoutesDoNotLeadToOtherNetworks(t *testing.T) {
	for _, c := range []struct {
		rules         []string
		host, network string
		accepted      bool
	}{
		{nil, "db1", "", false},
		{nil, "db1", "red", false},
		{nil, "db1", "blue", true},
		{[]string{"* * * accept"}, "db1", "red", false},
		{[]string{"* * * accept"}, "10.9.0.1", "red", false},
		{[]string{"* * * accept"}, "10.9.0.1", "blue", true},
		{[]string{"* 10.9.0.1 * accept"}, "10.9.0.1", "red", true}, // the operator says so
		{[]string{"* * * accept"}, "10.9.0.2", "red", true},
	} {
		w := routed(t, c.rules...)
		w.onNetwork("db1", "blue", "sales")
		w.hop("10.9.0.1:1521", accepts)
		w.hop("10.9.0.2:1521", accepts)
		e := w.Explain(t.Context(), Inquiry{Descriptor: via(c.host), From: addr("10.0.0.7"), Network: c.network})
		if (e.Code == 0) != c.accepted {
			t.Errorf("%v from %q to %s: %+v", c.rules, c.network, c.host, e)
		}
	}
}
