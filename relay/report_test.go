package relay

import (
	"testing"

	"servicebroker/journal"
	"servicebroker/tns"
)

// TestEachConnectIsReportedOnce: one report a connect, one end a session, with the figures of both.
func TestEachConnectIsReportedOnce(t *testing.T) {
	w := newWorld(t)
	reports, ended := make(chan ConnectReport, 4), make(chan SessionInfo, 4)
	w.Report = func(r *ConnectReport) { reports <- *r }
	w.Ended = func(s *SessionInfo, _ error) { ended <- *s }
	w.instance("s1", accepts, "sales")

	client := w.client(sales)
	if _, ok := w.reply(client).(*tns.Accept); !ok {
		t.Fatal("not accepted")
	}
	got := <-reports
	if e := got.Explanation; e.Outcome != journal.Relay || e.Chosen != "s1@s1.host/DEDICATED" || got.Asked == nil || got.Decided <= 0 || got.Dialled <= 0 || got.Decided+got.Dialled > e.Took || got.Service != "sales" || got.Way != "" || got.Sealed {
		t.Errorf("report of an accepted connect: %+v of %+v", got, e)
	}
	echo(t, client, "select 1 from dual")
	open := 0
	toServer, toClient := w.Load(func(i *SessionInfo) {
		if open++; i.Service != "sales" || i.Instance != "s1@s1.host" {
			t.Errorf("open: %+v", i)
		}
	})
	if open != 1 || toServer != 18 || toClient != 18 {
		t.Errorf("load: %d sessions, %d and %d bytes", open, toServer, toClient)
	}
	client.NetConn().Close()
	if s := <-ended; s.ToServer != 18 || s.ToClient != 18 {
		t.Errorf("ended session %+v", s)
	}

	refused := w.client("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=nothing)))")
	if _, ok := w.reply(refused).(*tns.Refuse); !ok {
		t.Fatal("not refused")
	}
	if got := <-reports; got.Explanation.Code != int(tns.CodeUnknownService) || got.Dialled != 0 || got.Explanation.Held != 0 || got.Service != "" {
		t.Errorf("report of a refused connect: %+v of %+v", got, got.Explanation)
	}
	w.running.Wait()
	if len(reports)+len(ended) > 0 {
		t.Errorf("%d reports and %d ends too many", len(reports), len(ended))
	}
}
