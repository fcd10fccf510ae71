package registration

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"servicebroker/registration/nsgr"
)

func movedExample(tb testing.TB) *MovedRegistration {
	r := sales("one", 1)
	r.ID, r.RegisteredAt = "registration-1-10.0.0.1:7", time.Unix(1_800_000_000, 5)
	r.Peer = netip.MustParseAddr("10.0.0.1")
	return &MovedRegistration{
		Format: 1, ID: r.ID, Peer: netip.MustParseAddrPort("10.0.0.1:7"), Version: 313, SDU: 2048, Unread: []byte{0, 60, 0, 0, 6, 0, 0, 0, 0, 0, 1},
		Partial: encode(tb, sales("one", 2))[:100], Representation: nsgr.Representation{PointerSize: 8, LongSize: 8}, Framed: true, Said: r, Shown: r, Own: []string{"D000"},
		Undecodable: 1, Pace: MovedPace{3, time.Unix(1_800_000_001, 0)},
	}
}

// What one version has written, all later ones must understand.
func TestMovedFormatOneIsRead(t *testing.T) {
	const file = "testdata/moved-format1.json"
	want := movedExample(t)
	content, err := os.ReadFile(file)
	if os.IsNotExist(err) && os.Getenv("WRITE_FORMAT") != "" {
		if content, err = json.MarshalIndent(want, "", " "); err == nil {
			err = os.WriteFile(file, append(content, '\n'), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var got MovedRegistration
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	ports := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(want, &got, alike, ports); diff != "" {
		t.Error(diff)
	}
	if err := got.check(); err != nil {
		t.Error(err)
	}
}

func TestResumeDeclinesWhatItDoesNotUnderstand(t *testing.T) {
	ours, theirs := tcpPair(t)
	defer ours.Close()
	defer theirs.Close()
	file, err := ours.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	one := []*os.File{file}
	for name, c := range map[string]struct {
		change func(*MovedRegistration)
		files  []*os.File
	}{
		"format":         {func(m *MovedRegistration) { m.Format = 2 }, one},
		"no format":      {func(m *MovedRegistration) { m.Format = 0 }, one},
		"needs":          {func(m *MovedRegistration) { m.Needs = []string{"wings"} }, one},
		"ID":             {func(m *MovedRegistration) { m.ID = "" }, one},
		"another ID":     {func(m *MovedRegistration) { m.Said.ID = "x" }, one},
		"ID shown":       {func(m *MovedRegistration) { m.Shown.ID = "x" }, one},
		"version":        {func(m *MovedRegistration) { m.Version = 5000 }, one},
		"SDU":            {func(m *MovedRegistration) { m.SDU = 1 }, one},
		"unread":         {func(m *MovedRegistration) { m.Unread = make([]byte, mostUnread+1) }, one},
		"partial":        {func(m *MovedRegistration) { m.Partial = make([]byte, mostPartial+1) }, one},
		"representation": {func(m *MovedRegistration) { m.Representation.PointerSize = 3 }, one},
		"undecodable":    {func(m *MovedRegistration) { m.Undecodable = -1 }, one},
		"pace":           {func(m *MovedRegistration) { m.Pace.Used = 1e9 }, one},
		"no socket":      {func(*MovedRegistration) {}, nil},
		"two sockets":    {func(*MovedRegistration) {}, slices.Concat(one, one)},
		"no socket file": {func(*MovedRegistration) {}, []*os.File{null}},
	} {
		m := movedExample(t)
		c.change(m)
		if r, err := new(Server).Resume(m, c.files); !errors.Is(err, ErrNotUnderstood) {
			t.Errorf("%s: %v", name, err)
			if r != nil {
				r.Close()
			}
		}
	}
	r, err := new(Server).Resume(movedExample(t), one)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

func FuzzResume(f *testing.F) {
	content, err := json.Marshal(movedExample(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte(`{"Format":1,"ID":"a","Said":{"format":1,"id":"a"},"Shown":{"format":1},"Version":313,"SDU":512,"Partial":"AAAA"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m MovedRegistration
		if json.Unmarshal(data, &m) != nil || m.check() != nil {
			return
		}
		s := newBroker(t).Server
		ours, theirs := net.Pipe()
		theirs.Close()
		defer ours.Close()
		r := Resumed{dialogue: s.resumed(&m, ours)}
		s.takePlace(m.Peer.Addr())
		r.leave = s.enter(r.dialogue)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = r.Serve(ctx)
	})
}
