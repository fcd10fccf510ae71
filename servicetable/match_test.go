package servicetable

import (
	"errors"
	"strings"
	"testing"
)

func TestMatchByName(t *testing.T) {
	long := strings.Repeat("x", 300)
	s := tableOf(
		database("i1", "h1", "Sales", "hr.example.com"),
		database("i2", "h2", "SALES", "crm.example.com"),
		database("i3", "h3", "crm.other.org", "fin", "fin.example.com"),
		database("i4", "h4", "GRÖSSE", "bad\xff", "bad\xfe", long, ".dot", "Ops.A.B"),
	).Snapshot()
	for _, c := range []struct{ service, want string }{
		{"sales", "i1/DEDICATED=Sales i2/DEDICATED=SALES"},
		{"sAlEs", "i1/DEDICATED=Sales i2/DEDICATED=SALES"},
		{"sales.example.com", "i1/DEDICATED=Sales i2/DEDICATED=SALES"},
		{"HR.Example.Com", "i1/DEDICATED=hr.example.com"},
		{"hr", "i1/DEDICATED=hr.example.com"},
		{"crm.example.com", "i2/DEDICATED=crm.example.com"},
		{"crm.OTHER.org", "i3/DEDICATED=crm.other.org"},
		{"fin", "i3/DEDICATED=fin"},
		{"fin.example.com", "i3/DEDICATED=fin.example.com"},
		{"fin.nowhere", "i3/DEDICATED=fin"},
		{"größe", ""},
		{"GRÖSSE", "i4/DEDICATED=GRÖSSE"},
		{"grösse", "i4/DEDICATED=GRÖSSE"},
		{"BAD\xff", "i4/DEDICATED=bad\xff"},
		{"bad\xfe", "i4/DEDICATED=bad\xfe"},
		{"bad\xfd", ""},
		{strings.ToUpper(long), "i4/DEDICATED=" + long},
		{".dot", "i4/DEDICATED=.dot"},
		{"ops", "i4/DEDICATED=Ops.A.B"},
		{"ops.a", ""},
		{"crm", ""},
		{"sale", ""},
		{"sales2", ""},
		{"hr.other.org", ""},
		{"", ""},
	} {
		if c.want != "" {
			wantMatch(t, s, Query{Service: c.service}, c.want)
			continue
		}
		if found, err := s.Match(Query{Service: c.service}); !errors.Is(err, ErrUnknownService) || len(found) > 0 {
			t.Errorf("Match(%q) = %s, %v, want ErrUnknownService", c.service, summary(found), err)
		}
	}
	_, err := s.Match(Query{Service: "crm"})
	for _, part := range []string{"ambiguous", `"crm.example.com"`, `"crm.other.org"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("ambiguous name: error %q does not contain %s", err, part)
		}
	}
}

func TestAmbiguityFollowsTheTable(t *testing.T) {
	table := tableOf(database("i1", "h1", "crm.a.com"), database("i2", "h2", "crm.b.com"))
	if _, err := table.Snapshot().Match(Query{Service: "crm"}); !errors.Is(err, ErrUnknownService) {
		t.Errorf("two domains: %v", err)
	}
	two := table.Snapshot()
	s := table.Drop("conn-i2-h2")
	wantMatch(t, s, Query{Service: "crm"}, "i1/DEDICATED=crm.a.com")
	s = table.Apply(database("i3", "h3", "CRM"))
	wantMatch(t, s, Query{Service: "crm"}, "i3/DEDICATED=CRM")
	s = table.Apply(database("i1", "h1", "crm.c.com"))
	table.Drop("conn-i3-h3")
	wantMatch(t, table.Snapshot(), Query{Service: "crm"}, "i1/DEDICATED=crm.c.com")
	wantMatch(t, s, Query{Service: "crm"}, "i3/DEDICATED=CRM")
	if _, err := two.Match(Query{Service: "crm"}); !errors.Is(err, ErrUnknownService) {
		t.Errorf("the older snapshot changed: %v", err)
	}
}

func TestMatchBySID(t *testing.T) {
	xdb := database("ORCL", "h1", "orclXDB", "orcl.example.com")
	xdb.Services[0].Flags |= FlagDispatchersOnly
	xdb.Handlers[0].Services = []int{1}
	xdb = xdb.with(Handler{Name: "D000", Kind: Dispatcher, Services: []int{0}})
	static := database("plain", "h3", "app")
	static.Static = true
	pdbs := database("cdb1", "h4", "pdb1", "pdb2", "cdb")
	pdbs.Services[2].Flags = 0
	noHandler := database("mute", "h5", "m")
	noHandler.Handlers = nil
	onlyXDB := database("web", "h6", "webXDB").flagged(FlagUnblocked | FlagDispatchersOnly)
	s := tableOf(xdb, database("orcl", "h2", "sales"), static, pdbs, noHandler, onlyXDB).Snapshot()

	wantMatch(t, s, Query{SID: "orcl"}, "ORCL/DEDICATED=orcl.example.com orcl/DEDICATED=sales")
	wantMatch(t, s, Query{SID: "PLAIN"}, "plain/DEDICATED=app!UNKNOWN")
	wantMatch(t, s, Query{SID: "cdb1"}, "cdb1/DEDICATED=pdb2")
	wantMatch(t, s, Query{SID: "orcl", Service: "app"}, "plain/DEDICATED=app!UNKNOWN")
	for _, c := range []struct {
		q    Query
		want error
	}{
		{Query{SID: "sales"}, ErrUnknownSID},
		{Query{SID: "orc"}, ErrUnknownSID},
		{Query{SID: "mute"}, ErrNoHandler},
		{Query{SID: "web"}, ErrNoHandler},
		{Query{SID: "orcl", Server: "shared"}, ErrNoHandlerOfKind},
		{Query{SID: "orcl", Instance: "plain"}, ErrUnknownInstance},
	} {
		if found, err := s.Match(c.q); !errors.Is(err, c.want) {
			t.Errorf("Match(%+v) = %s, %v, want %v", c.q, summary(found), err, c.want)
		}
	}
	s = tableOf(xdb.flagged(0)).Snapshot()
	if _, err := s.Match(Query{SID: "orcl"}); !errors.Is(err, ErrBlocked) {
		t.Errorf("blocked instance by SID: %v", err)
	}
}

func TestMatchByInstance(t *testing.T) {
	s := tableOf(database("sales1", "h1", "sales"), database("sales2", "h2", "sales"), database("sales2", "h3", "sales")).Snapshot()
	wantMatch(t, s, Query{Service: "sales", Instance: "SALES1"}, "sales1/DEDICATED=sales")
	wantMatch(t, s, Query{Service: "sales", Instance: "sales2"}, "sales2/DEDICATED=sales sales2/DEDICATED=sales")
	_, err := s.Match(Query{Service: "sales", Instance: "sales3"})
	if !errors.Is(err, ErrUnknownInstance) || !strings.Contains(err.Error(), `"sales3"`) || !strings.Contains(err.Error(), `"sales"`) {
		t.Errorf("unknown instance: %v", err)
	}
}

func TestMatchByServerMode(t *testing.T) {
	mixed := database("mixed", "h1", "s").with(Handler{Name: "D000", Kind: Dispatcher}).with(Handler{Name: "D001", Kind: Dispatcher}).with(Handler{Name: "N000", Kind: Pooled})
	pooledOnly := database("pool", "h2", "s", "p").withoutHandlers().with(Handler{Name: "N001", Kind: Pooled})
	dispatched := database("disp", "h4", "xdb").withoutHandlers().with(Handler{Name: "D002", Kind: Dispatcher})
	s := tableOf(mixed, pooledOnly, database("ded", "h3", "s", "d"), dispatched).Snapshot()
	for _, c := range []struct{ service, server, want string }{
		{"s", "", "mixed/D000=s mixed/D001=s pool/N001=s ded/DEDICATED=s"},
		{"s", "dedicated", "mixed/DEDICATED=s ded/DEDICATED=s"},
		{"s", "SHARED", "mixed/D000=s mixed/D001=s"},
		{"s", "Pooled", "mixed/N000=s pool/N001=s"},
		{"d", "pooled", "ded/DEDICATED=d"},
		{"p", "", "pool/N001=p"},
		{"s", "whatever", "mixed/D000=s mixed/D001=s pool/N001=s ded/DEDICATED=s"},
		{"xdb", "", "disp/D002=xdb"},
		{"xdb", "shared", "disp/D002=xdb"},
	} {
		wantMatch(t, s, Query{Service: c.service, Server: c.server}, c.want)
	}
	for _, q := range []Query{{Service: "d", Server: "shared"}, {Service: "xdb", Server: "dedicated"}, {Service: "xdb", Server: "pooled"}, {Service: "p", Server: "dedicated"}} {
		if found, err := s.Match(q); !errors.Is(err, ErrNoHandlerOfKind) || !strings.Contains(err.Error(), q.Server) {
			t.Errorf("Match(%+v) = %s, %v, want ErrNoHandlerOfKind naming the mode", q, summary(found), err)
		}
	}
}

func TestFullHandlersComeLast(t *testing.T) {
	full := database("a", "h1", "s")
	full.Handlers[0].Load = full.Handlers[0].Max
	shared := database("b", "h2", "s").with(Handler{Name: "D000", Kind: Dispatcher, Load: 9, Max: 9}).with(Handler{Name: "D001", Kind: Dispatcher, Load: 10, Max: 9})
	s := tableOf(full, database("c", "h3", "s"), shared).Snapshot()
	wantMatch(t, s, Query{Service: "s"}, "c/DEDICATED=s b/DEDICATED=s a/DEDICATED=s")
	wantMatch(t, s, Query{Service: "s", Server: "shared"}, "b/D000=s b/D001=s")
	wantMatch(t, tableOf(full).Snapshot(), Query{Service: "s"}, "a/DEDICATED=s")

	unlimited := database("d", "h4", "s")
	unlimited.Handlers[0].Max, unlimited.Handlers[0].Load = 0, 1000
	wantMatch(t, tableOf(full, unlimited).Snapshot(), Query{Service: "s"}, "d/DEDICATED=s a/DEDICATED=s")
}

func TestHandlersNobodyCanBeSentTo(t *testing.T) {
	r := database("a", "h1", "s").with(Handler{Name: "D000", Kind: Dispatcher}).with(Handler{Name: "ODD", Kind: 7})
	r.Handlers[1].Port = 0
	s := tableOf(r).Snapshot()
	wantMatch(t, s, Query{Service: "s"}, "a/DEDICATED=s")
	if _, err := s.Match(Query{Service: "s", Server: "shared"}); !errors.Is(err, ErrNoHandlerOfKind) {
		t.Errorf("only an unusable dispatcher: %v", err)
	}
	r.Handlers[0].Port = 0
	if _, err := tableOf(r).Snapshot().Match(Query{Service: "s"}); !errors.Is(err, ErrNoHandler) {
		t.Errorf("no usable address: %v", err)
	}
	if _, err := tableOf(database("a", "h", "s").withoutHandlers()).Snapshot().Match(Query{Service: "s", Server: "dedicated"}); !errors.Is(err, ErrNoHandler) {
		t.Errorf("no handler at all: %v", err)
	}
	wantMatch(t, tableOf(r, database("b", "h2", "s")).Snapshot(), Query{Service: "s"}, "b/DEDICATED=s")
}

func TestMatchByStatus(t *testing.T) {
	ready, blocked, restricted := database("r", "h1", "s"), database("b", "h2", "s").flagged(0), database("x", "h3", "s").flagged(FlagUnblocked|FlagRestricted)
	both := database("y", "h4", "s").flagged(FlagRestricted)
	static, stale := database("u", "h5", "s").flagged(0), database("o", "h6", "s")
	static.Static, stale.Stale = true, true
	gone := database("g", "h7", "s").flagged(0)
	gone.Stale = true
	for _, c := range []struct {
		name string
		all  []Registration
		want string
		err  error
	}{
		{"ready beside others", []Registration{blocked, ready, restricted}, "r/DEDICATED=s", nil},
		{"static and stale stay", []Registration{stale, ready, static}, "o/DEDICATED=s!STALE r/DEDICATED=s u/DEDICATED=s!UNKNOWN", nil},
		{"static beside blocked", []Registration{blocked, static}, "u/DEDICATED=s!UNKNOWN", nil},
		{"all blocked", []Registration{blocked, both}, "", ErrBlocked},
		{"all restricted", []Registration{restricted}, "", ErrRestricted},
		{"stale and shut before", []Registration{gone}, "", ErrBlocked},
		{"mixture", []Registration{restricted, blocked}, "", ErrRestrictedOrBlocked},
	} {
		s := tableOf(c.all...).Snapshot()
		found, err := s.Match(Query{Service: "S"})
		if !errors.Is(err, c.err) || summary(found) != c.want {
			t.Errorf("%s: %q, %v, want %q, %v", c.name, summary(found), err, c.want, c.err)
		}
	}
	s := tableOf(blocked, restricted, ready).Snapshot()
	wantMatch(t, s, Query{Service: "s", IgnoreStatus: true}, "b/DEDICATED=s!BLOCKED x/DEDICATED=s!RESTRICTED r/DEDICATED=s")
	if _, err := s.Match(Query{Service: "s", Instance: "x"}); !errors.Is(err, ErrRestricted) {
		t.Errorf("a restricted instance by name: %v", err)
	}
	blockedService := database("m", "h7", "open", "shut")
	blockedService.Services[1].Flags = 0
	s = tableOf(blockedService).Snapshot()
	wantMatch(t, s, Query{Service: "open"}, "m/DEDICATED=open")
	if _, err := s.Match(Query{Service: "shut"}); !errors.Is(err, ErrBlocked) {
		t.Errorf("one blocked service of an open instance: %v", err)
	}
}

func TestAppendMatchKeepsWhatIsThere(t *testing.T) {
	s := tableOf(database("a", "h", "s")).Snapshot()
	dst, err := s.AppendMatch(nil, Query{Service: "s"})
	if err != nil {
		t.Fatal(err)
	}
	dst, err = s.AppendMatch(dst, Query{Service: "s"})
	if got := summary(dst); err != nil || got != "a/DEDICATED=s a/DEDICATED=s" {
		t.Errorf("%s, %v", got, err)
	}
	if dst, err = s.AppendMatch(dst, Query{Service: "none"}); err == nil || len(dst) != 2 {
		t.Errorf("%s, %v after a failure", summary(dst), err)
	}
}

func TestMatchAllocatesOnlyItsResult(t *testing.T) {
	var table Table
	for _, host := range strings.Split("abcdefgh", "") {
		table.Apply(database("inst", host, "other", "service.example.com").with(Handler{Name: "N000", Kind: Pooled}))
	}
	s := table.Snapshot()
	q := Query{Service: "SERVICE.EXAMPLE.COM", Server: "DEDICATED", Instance: "INST"}
	dst := make([]Candidate, 0, 8)
	if n := testing.AllocsPerRun(100, func() { dst, _ = s.AppendMatch(dst[:0], q) }); n != 0 {
		t.Errorf("AppendMatch into room enough: %v allocations", n)
	}
	if len(dst) != 8 {
		t.Errorf("%d candidates", len(dst))
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Match(q) }); n != 1 {
		t.Errorf("Match: %v allocations, want 1", n)
	}
}

func TestHostileWordsInErrorsAreHarmless(t *testing.T) {
	var empty Table
	_, err := empty.Snapshot().Match(Query{Service: "a\nb\x1b[2J" + strings.Repeat("ü", 10_000)})
	if text := err.Error(); strings.ContainsAny(text, "\n\x1b") || len(text) > 600 {
		t.Errorf("error of %d bytes: %.100s", len(text), text)
	}
	_, err = empty.Snapshot().Match(Query{SID: "x"})
	if !errors.Is(err, ErrUnknownSID) {
		t.Error(err)
	}
}
