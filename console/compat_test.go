package console

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// compatWriters are the layouts of other tools, with every text in them being word.
func compatWriters(word string) map[string]func(io.Writer) error {
	s := hostileStatus(word)
	s.Release, s.Machine, s.Socket, s.LogLevel, s.LogDir = word, word, word, word, word
	list := ServiceList{Services: []Service{{Name: word, Instances: []Instance{{
		Name: word, Key: word, Status: word, Marks: []Mark{{Mark: word, Cause: word}}, Handlers: []Handler{{Name: word, Info: word, Address: word, State: word}},
	}}}}}
	session := Session{ID: word, Client: word, CID: CID{word, word, word}, Service: word, Instance: word, Server: Upstream{Local: word, Remote: word}}
	settings, rules := ParameterList{[]Parameter{{word, word, word, true, word, word}}}, RuleList{[]RuleView{{Name: word, Group: word, Services: []string{word}, DNs: []string{word}, Text: word, Where: word, Matched: 1}}}
	writers := map[string]func(io.Writer) error{
		"banner":              func(w io.Writer) error { return WriteBanner(w, "CMCTL", Version{Version: word, Release: word}, noon()) },
		"lsnrctl status":      func(w io.Writer) error { return WriteListenerStatus(w, s) },
		"lsnrctl version":     func(w io.Writer) error { return WriteListenerVersion(w, s) },
		"cmctl status":        func(w io.Writer) error { return WriteCMANStatus(w, s, Gateway{}) },
		"cmctl version":       func(w io.Writer) error { return WriteCMANVersion(w, s) },
		"cmctl services":      func(w io.Writer) error { return WriteCMANServices(w, list, s, Gateway{}) },
		"cmctl gateways":      func(w io.Writer) error { return WriteCMANGateways(w, Gateway{}) },
		"cmctl rules":         func(w io.Writer) error { return WriteCMANRules(w, rules) },
		"cmctl parameters":    func(w io.Writer) error { return WriteCMANParameters(w, settings, false) },
		"cmctl all":           func(w io.Writer) error { return WriteCMANAll(w, settings, rules) },
		"cmctl events":        WriteCMANEvents,
		"cmctl stats":         func(w io.Writer) error { return WriteCMANStats(w, Stats{}) },
		"cmctl conn info":     func(w io.Writer) error { return WriteCMANConnections(w, []Session{session}, "info", noon()) },
		"cmctl conn detailed": func(w io.Writer) error { return WriteCMANConnections(w, []Session{session}, "detail", noon()) },
	}
	for _, mode := range []DisplayMode{Compact, Normal, Verbose, Raw} {
		writers["lsnrctl services "+string(mode)] = func(w io.Writer) error { return WriteListenerServices(w, list, s, mode) }
	}
	return writers
}

// Names come from the network here too: none may move a terminal's cursor, or look like another line to a scraper.
func TestCompatTextIsHarmless(t *testing.T) {
	for name, write := range compatWriters("a\x1b[2Jb\n~\u202ed\x00") {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\x00\u202e") || strings.Contains(b.String(), "\n~") {
			t.Errorf("%s: %q", name, b.String())
		}
	}
}

func TestCompatWriteErrorsAreReturned(t *testing.T) {
	for name, write := range compatWriters("word") {
		if write(full{}) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Whatever services and instances there are, a scraper of either tool finds exactly those, with their states.
func TestScrapersFindWhatThereIs(t *testing.T) {
	name := rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9_$#.]{0,20}`)
	rapid.Check(t, func(r *rapid.T) {
		list, want := ServiceList{}, map[string]string{}
		for _, service := range rapid.SliceOfNDistinct(name, 0, 5, rapid.ID).Draw(r, "services") {
			s := Service{Name: service}
			for _, instance := range rapid.SliceOfNDistinct(name, 1, 4, rapid.ID).Draw(r, "instances") {
				status := rapid.SampledFrom([]string{"READY", "BLOCKED", "RESTRICTED", "UNKNOWN", "STALE"}).Draw(r, "status")
				handlers := make([]Handler, rapid.IntRange(0, 3).Draw(r, "handlers"))
				s.Instances = append(s.Instances, Instance{Name: instance, Status: status, Handlers: handlers})
				want[service+"/"+instance] = compatStatus(status)
			}
			list.Services = append(list.Services, s)
		}
		for tool, write := range map[string]func(io.Writer) error{
			"cmctl":           func(w io.Writer) error { return WriteCMANServices(w, list, published(), Gateway{}) },
			"lsnrctl":         func(w io.Writer) error { return WriteListenerServices(w, list, published(), Normal) },
			"lsnrctl compact": func(w io.Writer) error { return WriteListenerServices(w, list, published(), Compact) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				r.Fatal(err)
			}
			found := serviceCheck(b.String())
			if tool == "cmctl" {
				delete(found, "cmgw/cman")
				delete(found, "cmon/cman")
			}
			for key, status := range want {
				if found[key] != status {
					r.Fatalf("%s: %s is %q, want %q", tool, key, found[key], status)
				}
			}
			if len(found) != len(want) {
				r.Fatalf("%s: found %v, want %v", tool, found, want)
			}
		}
	})
}

// A time that clock writes is read back as what it was, to the second.
func TestClockTimesAreReadBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := time.Duration(rapid.IntRange(0, 3_000_000).Draw(r, "seconds")) * time.Second
		if back, err := clockTime(clock(d)); err != nil || back != d {
			r.Fatalf("%v: %s is read as %v, %v", d, clock(d), back, err)
		}
	})
}

func FuzzParseConnectionFilter(f *testing.F) {
	for _, seed := range []string{"in idle gt 1:00", "gt[00:01:00] from 10.0.0.0/8", "for sales using 0", "in", "gt :::", "from  to"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := ParseConnectionFilter(strings.Fields(text))
		if err == nil && filter.Longer < 0 {
			t.Errorf("%q: %v", text, filter.Longer)
		}
		filter.Choose(SessionList{Sessions: openSessions()}, noon())
	})
}
