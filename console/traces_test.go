package console

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// tracing gives a console something to trace with.
func (o *operated) tracing() {
	trace := Trace{ID: "1", Client: "192.0.2.7", File: "/log/cman1.trc", Began: noon(), Until: noon().Add(time.Minute), Packets: 3, Bytes: 300}
	o.Traces = func() []Trace { return []Trace{trace} }
	o.StartTrace = func(r TraceRequest) (Trace, error) {
		started := trace
		started.Client, started.Session, started.Data, started.Until = r.Client, r.Session, r.Data, noon().Add(time.Duration(r.Seconds)*time.Second)
		return started, nil
	}
	o.StopTrace = func(id uint64) (Trace, error) {
		if id != 1 {
			return Trace{}, fmt.Errorf("%w: trace %d", ErrNotFound, id)
		}
		ended := trace
		ended.Ended = "an operator ended it"
		return ended, nil
	}
	o.SetLogLevel = func(level string) (LogLevel, error) {
		if level != "support" {
			return LogLevel{}, fmt.Errorf("%q is no level", level)
		}
		return LogLevel{level}, nil
	}
}

func TestTraces(t *testing.T) {
	o := newOperated(t)
	o.tracing()
	client := overSocket(t, o)
	trace, err := client.StartTrace(t.Context(), TraceRequest{Session: "17", Seconds: 60, Data: true})
	if err != nil || trace.Session != "17" || !trace.Data || !trace.Until.Equal(noon().Add(time.Minute)) {
		t.Errorf("%+v, %v", trace, err)
	}
	if list, err := client.Traces(t.Context()); err != nil || len(list.Traces) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := client.StopTrace(t.Context(), "2"); !isStatus(err, http.StatusNotFound) {
		t.Errorf("%v", err)
	}
	if ended, err := client.StopTrace(t.Context(), "1"); err != nil || ended.Ended == "" {
		t.Errorf("%+v, %v", ended, err)
	}
	if now, err := client.SetLogLevel(t.Context(), "support"); err != nil || now.Level != "support" {
		t.Errorf("%+v, %v", now, err)
	}
	if _, err := client.SetLogLevel(t.Context(), "loud"); !isStatus(err, http.StatusBadRequest) {
		t.Errorf("%v", err)
	}
}

func TestTracesAsText(t *testing.T) {
	list := TraceList{Traces: []Trace{
		{ID: "1", Client: "*", Until: noon().Add(time.Minute), Packets: 7, File: "/log/a.trc"},
		{ID: "2", Session: "17", Ended: "its file is full", Packets: 9, Lost: 1, File: "/log/b.trc"},
	}}
	var w strings.Builder
	if err := WriteTraces(&w, list, noon()); err != nil {
		t.Fatal(err)
	}
	for _, v := range list.Traces {
		if err := WriteTrace(&w, v); err != nil {
			t.Fatal(err)
		}
	}
	want := `ID  WHOSE        PACKETS  LOST  STATE               FILE
1   all clients  7        0     for another 1m0s    /log/a.trc
2   session 17   9        1     its file is full    /log/b.trc
1: all clients, until ` + noon().Add(time.Minute).Local().Format(time.TimeOnly) + `, into /log/a.trc
2: session 17: its file is full; 9 packets in /log/b.trc
`
	if got := w.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func isStatus(err error, status int) bool {
	var answer *APIError
	return errors.As(err, &answer) && answer.Status == status
}
