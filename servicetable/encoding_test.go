package servicetable

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the files that pin formats; never for a format that was released")

// fullRegistration has something in every field.
func fullRegistration() Registration {
	at := time.Date(2026, 3, 1, 12, 30, 15, 123456789, time.UTC)
	marks := []Mark{{Kind: Draining, Cause: "patch <1>", Since: at, Until: at.Add(time.Hour)}, {Kind: Quarantined, Cause: "who is it", Since: at}}
	return Registration{
		ID: "registration-7-10.1.0.5:40000", Instance: "sales1", Host: "db1", HostRaw: "(HOST=db1)",
		NodeLoad: 10, NodeMax: 100, Load: 5, Max: 4294967295, Flags: 3, GUID: [16]byte{1, 2, 0xfe, 15: 0xff},
		Services: []Service{
			{Name: "sales.example.com", Flags: FlagUnblocked, Goodness: 7, Delta: 2, Weight: WeightOf(0), Marks: marks},
			{Name: "salesXDB", Flags: FlagUnblocked | FlagDispatchersOnly},
			{Name: "stra\xdfe", Flags: FlagRestricted, Weight: WeightOf(250)},
		},
		Handlers: []Handler{
			{ID: [16]byte{9}, Name: "DEDICATED", Kind: Dedicated, Protocol: "TCP", Host: "db1", Port: 1521, Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=db1)(PORT=1521))",
				Info: "REMOTE SERVER", Load: 3, Max: 149, Flags: 2, Services: []int{0, 2}},
			{Name: "D000", Kind: Dispatcher, Flags: 0x1004, Services: []int{1}},
			{Name: "N000", Kind: Pooled},
		},
		Endpoints:    []string{"(ADDRESS=(PROTOCOL=TCPS)(HOST=db1)(PORT=5500))", "\u0001\xff"},
		RegisteredAt: at, LoadAt: at.Add(time.Minute), LoadSource: "agent",
		Peer: netip.MustParseAddr("fd00::5"), PeerDN: "CN=db1,O=\"A, B\"", ArrivedOn: "[::1]:1521", Network: "inner",
		Static: true, Stale: true, Database: "prod", Tier: 2, Zone: "a", Marks: marks[1:],
	}
}

func roundTrip(t interface{ Fatalf(string, ...any) }, r Registration) Registration {
	content, err := json.Marshal(r)
	if err != nil {
		t.Fatalf("written: %v", err)
	}
	var back Registration
	if err := json.Unmarshal(content, &back); err != nil {
		t.Fatalf("%s: %v", content, err)
	}
	return back
}

var alike = cmp.Options{cmp.Comparer(Weight.Equal), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

func TestEveryFieldIsWritten(t *testing.T) {
	full := fullRegistration()
	for _, v := range []any{full, full.Services[0], full.Handlers[0], full.Services[0].Marks[0]} {
		for i, r := 0, reflect.ValueOf(v); i < r.NumField(); i++ {
			if name := r.Type().Field(i).Name; r.Field(i).IsZero() && name != "Hop" && name != "Broker" && name != "Kind" {
				t.Errorf("the test has nothing in %s of %T", name, v)
			}
		}
	}
	if diff := cmp.Diff(full, roundTrip(t, full), alike); diff != "" {
		t.Error(diff)
	}
}

// What a released version has written must be understood for ever.
func TestFormatOneIsRead(t *testing.T) {
	const file = "testdata/registration-format1.json"
	want := fullRegistration()
	if *update {
		content, err := json.MarshalIndent(want, "", " ")
		if err == nil {
			err = os.WriteFile(file, append(content, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got Registration
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, alike); diff != "" {
		t.Error(diff)
	}
	if again, err := json.MarshalIndent(got, "", " "); err != nil || string(again)+"\n" != string(content) {
		t.Errorf("format 1 is now written otherwise (%v): give it a new number, and keep reading this one\n%s", err, again)
	}
}

func genText(t *rapid.T, name string) string {
	return rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"", "sales", "SALES.example.com", "a\xffb", "\u2028<&>", "\x00"})).Draw(t, name)
}

func genTime(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "no time") {
		return time.Time{}
	}
	return time.Unix(rapid.Int64Range(-1<<33, 1<<36).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns"))
}

func genMarksIn(t *rapid.T) (marks []Mark) {
	for range rapid.IntRange(0, 2).Draw(t, "marks") {
		marks = append(marks, Mark{Kind: MarkKind(rapid.IntRange(0, 4).Draw(t, "mark")), Cause: genText(t, "cause"), Since: genTime(t), Until: genTime(t)})
	}
	return marks
}

func genID16(t *rapid.T) (id [16]byte) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "id"))
	return id
}

func genAnyRegistration(t *rapid.T) Registration {
	number := func(name string) uint32 { return rapid.Uint32().Draw(t, name) }
	r := Registration{
		ID: ID(genText(t, "id")), Instance: genText(t, "instance"), Host: genText(t, "host"), HostRaw: genText(t, "raw"),
		NodeLoad: number("nl"), NodeMax: number("nm"), Load: number("l"), Max: number("m"), Flags: number("f"), GUID: genID16(t),
		RegisteredAt: genTime(t), LoadAt: genTime(t), LoadSource: genText(t, "source"), PeerDN: genText(t, "dn"),
		ArrivedOn: genText(t, "at"), Network: genText(t, "network"), Static: rapid.Bool().Draw(t, "static"), Stale: rapid.Bool().Draw(t, "stale"),
		Database: genText(t, "database"), Tier: rapid.Int().Draw(t, "tier"), Zone: genText(t, "zone"), Marks: genMarksIn(t),
	}
	if b := rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "peer"); len(b) == 16 || len(b) == 4 {
		r.Peer, _ = netip.AddrFromSlice(b)
	}
	for range rapid.IntRange(0, 3).Draw(t, "services") {
		r.Services = append(r.Services, Service{Name: genText(t, "service"), Flags: number("sf"), Goodness: number("g"), Delta: number("d"),
			Weight: WeightOf(number("weight") % 300), Marks: genMarksIn(t)})
	}
	for range rapid.IntRange(0, 3).Draw(t, "handlers") {
		h := Handler{ID: genID16(t), Name: genText(t, "handler"), Kind: Kind(rapid.IntRange(0, 2).Draw(t, "kind")), Protocol: genText(t, "protocol"),
			Host: genText(t, "to"), Port: rapid.IntRange(0, 65535).Draw(t, "port"), Address: genText(t, "address"), Info: genText(t, "info"),
			Load: number("hl"), Max: number("hm"), Flags: number("hf")}
		if n := len(r.Services); n > 0 {
			h.Services = rapid.SliceOfN(rapid.IntRange(0, n-1), 1, 4).Draw(t, "serves")
		}
		r.Handlers = append(r.Handlers, h)
	}
	return r
}

func TestAnyRegistrationComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genAnyRegistration(t)
		if diff := cmp.Diff(r, roundTrip(t, r), alike); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A table made of what was read matches as the one that was written.
func TestTableReadMatchesAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table, copied Table
		for range rapid.IntRange(0, 4).Draw(t, "registrations") {
			table.Apply(genRegistration(t))
		}
		for range rapid.IntRange(0, 3).Draw(t, "marks") {
			table.Mark(genKey(t), Mark{Kind: MarkKind(rapid.IntRange(0, 4).Draw(t, "kind")), Cause: "c"})
		}
		for _, s := range table.Snapshot().inOrder() {
			copied.Apply(roundTrip(t, s.registration))
		}
		content, err := json.Marshal(table.Snapshot().MarkedKeys())
		var marks map[string]Marks
		if err == nil {
			err = json.Unmarshal(content, &marks)
		}
		if err != nil {
			t.Fatal(err)
		}
		for key, list := range marks {
			for _, m := range list {
				copied.Mark(key, m)
			}
		}
		q := Query{Service: genName.Draw(t, "service"), Server: rapid.SampledFrom([]string{"", "shared", "pooled"}).Draw(t, "server")}
		want, wantErr := table.Snapshot().Match(q)
		got, gotErr := copied.Snapshot().Match(q)
		if !slices.Equal(candidateStrings(want), candidateStrings(got)) || fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
			t.Fatalf("%+v: %q %v, want %q %v", q, candidateStrings(got), gotErr, candidateStrings(want), wantErr)
		}
	})
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	var r Registration
	err := json.Unmarshal([]byte(`{"format":1,"needs":[],"id":"a","instance":"i","colour":{"of":["hats"]},"services":[{"name":"s","flags":4,"x":1}],
		"handlers":[{"name":"h","kind":"pooled","services":[0],"y":null}],"marks":[{"mark":"holding","z":2}]}`), &r)
	want := Registration{ID: "a", Instance: "i", Services: []Service{{Name: "s", Flags: 4}}, Handlers: []Handler{{Name: "h", Kind: Pooled, Services: []int{0}}},
		Marks: []Mark{{Kind: Holding}}}
	if diff := cmp.Diff(want, r, alike); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestWhatIsNotUnderstoodIsDeclined(t *testing.T) {
	many := func(entry string, n int) string { return strings.TrimSuffix(strings.Repeat(entry+",", n), ",") }
	for _, c := range []struct {
		text string
		want error
		says string
	}{
		{`{}`, ErrMalformed, "names no format"},
		{`null`, ErrMalformed, "names no format"},
		{`[1]`, ErrMalformed, ""},
		{`{"format":-1}`, ErrMalformed, "names no format"},
		{`{"format":2,"id":7}`, ErrNewerFormat, "format 2"},
		{`{"format":1,"needs":["lanes"]}`, ErrNewerFormat, `"lanes"`},
		{`{"format":1,"marks":[{"mark":"frozen"}]}`, ErrNewerFormat, `"frozen"`},
		{`{"format":1,"services":[{"name":"s","marks":[{"mark":"frozen"}]}]}`, ErrNewerFormat, `"frozen"`},
		{`{"format":1,"handlers":[{"name":"h","kind":"quantum"}]}`, ErrNewerFormat, `"quantum"`},
		{`{"format":1,"handlers":[{"name":"h","kind":"pooled","services":[0]}]}`, ErrMalformed, "service number 1 of 0"},
		{`{"format":1,"services":[{"name":"s"}],"handlers":[{"name":"h","kind":"pooled","services":[-1]}]}`, ErrMalformed, "service number 0"},
		{`{"format":1,"handlers":[{"name":"h","kind":"pooled","port":65536}]}`, ErrMalformed, "port 65536"},
		{`{"format":1,"guid":"0102"}`, ErrMalformed, "identifier"},
		{`{"format":1,"guid":"` + strings.Repeat("x", 32) + `"}`, ErrMalformed, "invalid byte"},
		{`{"format":1,"flags":4294967296}`, ErrMalformed, "uint32"},
		{`{"format":1,"flags":-1}`, ErrMalformed, "uint32"},
		{`{"format":1,"peer":"nowhere"}`, ErrMalformed, "nowhere"},
		{`{"format":1,"host":{"hex":"0"}}`, ErrMalformed, "hex"},
		{`{"format":1,"services":{"0":{}}}`, ErrMalformed, "a list is wanted"},
		{`{"format":1,"endpoints":[` + many(`"e"`, maxListed+1) + `]}`, ErrMalformed, "more than 65536 entries"},
		{`{"format":1,"host":"` + strings.Repeat("h", maxText+1) + `"}`, ErrMalformed, "bytes"},
		{`{"format":1,"host":"` + strings.Repeat("h", MaxEncoded) + `"}`, ErrMalformed, "bytes"},
		{`{"format":1,"services":[{"name":"s"}],"handlers":[` + many(`{"name":"h","kind":"pooled","services":[`+many("0", maxListed)+`]}`, maxLinks/maxListed+1) + `]}`,
			ErrMalformed, "serve more than"},
	} {
		r := Registration{Instance: "untouched"}
		err := json.Unmarshal([]byte(c.text), &r)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || r.Instance != "untouched" {
			t.Errorf("%.80s: %v, want %v with %q; registration %q", c.text, err, c.want, c.says, r.Instance)
		}
	}
	var m Marks
	if err := json.Unmarshal([]byte(`[{"mark":"frozen"}]`), &m); !errors.Is(err, ErrNewerFormat) {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(`[{"mark":1}]`), &m); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestWhatHasNoWordIsNotWritten(t *testing.T) {
	for _, r := range []Registration{{Marks: []Mark{{Kind: Holding + 1}}}, {Handlers: []Handler{{Kind: Pooled + 1}}}} {
		if content, err := json.Marshal(r); err == nil {
			t.Errorf("written as %s", content)
		}
	}
	r := Registration{Services: []Service{{Name: "s"}}, Handlers: []Handler{{Services: []int{1, 0, -1}}}}
	if got := roundTrip(t, r).Handlers[0].Services; !slices.Equal(got, []int{0}) {
		t.Errorf("positions that lead nowhere came back: %v", got)
	}
}

func TestProperPrefixesAreRejected(t *testing.T) {
	content, err := json.Marshal(fullRegistration())
	if err != nil {
		t.Fatal(err)
	}
	for n := range content {
		var r Registration
		if json.Unmarshal(content[:n], &r) == nil {
			t.Fatalf("the first %d bytes of %d were taken for a registration", n, len(content))
		}
	}
}

func FuzzDecodeRegistration(f *testing.F) {
	content, err := json.Marshal(fullRegistration())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte(`{"format":1,"needs":["x"]}`))
	f.Add([]byte(`{"format":1,"id":"a","registered_at":"2026-01-01T00:00:00+24:00"}`)) // an offset that is read, and never written
	f.Add([]byte(`{"format":1,"id":"a","load_at":"9999-12-31T23:59:59-01:00","marks":[{"mark":"ejected","since":"2026-01-01T00:00:00+24:00","until":"0000-01-01T00:00:00+01:00"}]}`))
	f.Add([]byte(`{"format":1,"services":[{"name":{"hex":"ff"}}],"handlers":[{"kind":"pooled","services":[0,0]}],"marks":[{"mark":"ejected","since":"2026-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Registration
		if err := json.Unmarshal(data, &r); err != nil {
			return
		}
		var table Table
		table.Apply(r)
		if diff := cmp.Diff(r, roundTrip(t, r), alike); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := fullRegistration()
	for b.Loop() {
		content, err := json.Marshal(r)
		if err == nil {
			err = json.Unmarshal(content, &r)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
