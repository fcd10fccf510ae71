package consul

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/consul/api"

	"servicebroker/testenv/fuzzing"
)

// FuzzAnswers reads what an agent answers, whatever that is: it is one that a Consul gives, or none of it is
// believed; and reading it is bounded.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`[{"Node":{"Node":"n","Address":"10.0.0.1"},"Service":{"ID":"i","Service":"s","Port":1521,"Meta":{"load":"5","broker-owner":"x"},"Weights":{"Passing":1}},"Checks":[{"CheckID":"oracle:i","Status":"passing"}]}]`))
	f.Add([]byte(`[null]`))
	f.Add([]byte(`[{"Node":null}]`))
	f.Add([]byte(`[{"Key":"broker/intents/a","Value":"eyJmb3JtYXQiOjF9","ModifyIndex":5}]`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		fuzzing.Bounded(t, len(answer), func() {
			var all atomic.Int64
			body := &bounded{ReadCloser: io.NopCloser(bytes.NewReader(answer)), all: &all}
			read, err := io.ReadAll(body)
			if err == nil && !bytes.Equal(read, answer) {
				t.Fatal("it is another answer")
			}
			if _ = body.Close(); all.Load() != 0 {
				t.Fatalf("%d bytes are still being read", all.Load())
			}
		})
		var entries []*api.ServiceEntry
		if json.Unmarshal(answer, &entries) == nil && whole(entries, entireEntry) == nil {
			s := state{nodes: map[string]nodeState{}, services: map[entry]written{}, foreign: map[entry]bool{}}
			for _, e := range entries {
				s.enter(e, "x")
			}
			if len(s.services)+len(s.foreign) > len(entries) {
				t.Fatalf("%d entries make %d and %d", len(entries), len(s.services), len(s.foreign))
			}
		}
	})
}

// FuzzIntents merges what others have written, in two orders: whichever is first, what holds is the same, and
// what was kept on disk is read again.
func FuzzIntents(f *testing.F) {
	f.Add([]byte(`{"format":1,"value":{"a":1},"updated":"2026-01-01T00:00:00Z","origin":"b1"}`), []byte(`{"format":1,"removed":true,"updated":"2026-01-02T00:00:00Z","origin":"b2"}`))
	f.Add([]byte(`{"format":2,"value":1}`), []byte(`{"format":1,"value":1,"index":7,"pending":true}`))
	odd := []byte(`{"format":1,"value":1,"updated":"2026-01-01T00:00:00+24:00"}`) // an offset that is read, and never written
	f.Add(odd, odd)
	f.Add([]byte(`{"format":1,"value":1,"updated":"9999-12-31T23:59:59.999999999Z"}`), []byte(`{"format":1,"value":1,"ends":"9999-12-31T23:59:59-01:00","updated":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`null`), []byte(`{}`))
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, one, two []byte) {
		for _, b := range [][]byte{one, two} {
			var p parsed
			if p.read(&api.KVPair{Value: b, ModifyIndex: 5}) && (p.Pending || p.Index != 5 || p.Format > sharedFormat) {
				t.Fatalf("%+v", p)
			}
		}
		var a, b parsed
		if !a.read(&api.KVPair{Value: one, ModifyIndex: 5}) || !b.read(&api.KVPair{Value: two, ModifyIndex: 6}) {
			return
		}
		if a.later(&b.shared) && b.later(&a.shared) {
			t.Fatalf("each is later: %+v and %+v", a, b)
		}
		path := filepath.Join(folder, "intents")
		s := &Intents{Client: &Client{}, Path: path, entries: map[string]shared{}, loaded: true}
		for _, value := range [][]byte{one, two, one} {
			s.merge(api.KVPairs{{Key: s.folder() + "id", Value: value, ModifyIndex: 7}})
		}
		again := &Intents{Client: &Client{}, Path: path}
		if err := again.Open(); err != nil {
			t.Fatalf("what was kept cannot be read: %v", err)
		}
		mine, kept := s.entries["id"], again.entries["id"]
		if !mine.same(&kept) || mine.Removed != kept.Removed || mine.Index != kept.Index {
			t.Fatalf("kept as %+v: %+v", mine, kept)
		}
	})
}
