package intent

import (
	"strings"
	"testing"
	"time"
)

func TestParseKind(t *testing.T) {
	for _, k := range Kinds() {
		if got, err := ParseKind(" " + strings.ToUpper(string(k)) + " "); got != k || err != nil {
			t.Errorf("%s: %q, %v", k, got, err)
		}
	}
	for word, want := range map[string]Kind{
		"drian": Drain, "wieght": Weight, "holt": Hold, "maintainance": Maintenance, "aprove": Approve, "rejekt": Reject,
		"stop": Drain, "pause": Hold, "offline": Maintenance, "deny": Reject, "allow": Approve, "percent": Weight,
		strings.Repeat("\u00e4", 5000): Drain, "": Drain,
	} {
		_, err := ParseKind(word)
		if err == nil {
			t.Errorf("%q is a kind", word)
			continue
		}
		if text := err.Error(); word != "" && !strings.HasSuffix(text, "did you mean "+string(want)+"?") && len(word) < 100 {
			t.Errorf("%q: %s", word, text)
		}
		if len(err.Error()) > 300 {
			t.Errorf("the error is %d bytes long", len(err.Error()))
		}
	}
}

func TestParseTargetKeepsOneForm(t *testing.T) {
	for _, c := range []struct{ in, want Target }{
		{Target{Service: " sales "}, Target{Service: "sales"}},
		{Target{Instance: "sales1@db1"}, Target{Instance: "sales1@db1"}},
		{Target{Network: "192.0.2.7"}, Target{Network: "192.0.2.7"}},
		{Target{Network: "192.0.2.7/32"}, Target{Network: "192.0.2.7"}},
		{Target{Network: " 192.0.2.0/24"}, Target{Network: "192.0.2.0/24"}},
		{Target{Network: "::ffff:192.0.2.7"}, Target{Network: "192.0.2.7"}},
		{Target{Network: "::ffff:192.0.2.0/120"}, Target{Network: "192.0.2.0/24"}},
		{Target{Network: "2001:DB8:0::/32"}, Target{Network: "2001:db8::/32"}},
		{Target{Network: "0.0.0.0/0"}, Target{Network: "0.0.0.0/0"}},
	} {
		got, err := ParseTarget(c.in)
		if err != nil || got != c.want {
			t.Errorf("%v: %v, %v", c.in, got, err)
		}
	}
}

func TestParseTargetErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		in    Target
		wants []string // parts of the error
	}{
		{Target{}, []string{"empty", "at least one of database, service"}},
		{Target{Service: "   "}, []string{"empty"}},
		{Target{Instance: "@db1"}, []string{`"@db1"`, "sales1@db1"}},
		{Target{Instance: "sales1@"}, []string{`"sales1@"`, "sales1@db1"}},
		{Target{Instance: "a@b@c"}, []string{`"a@b@c"`}},
		{Target{Network: "192.0.2.300"}, []string{`"192.0.2.300"`, "192.0.2.0/24"}},
		{Target{Network: "192.0.2.0/33"}, []string{`"192.0.2.0/33"`, "neither"}},
		{Target{Network: "10.1/16"}, []string{`"10.1/16"`, "neither"}},
		{Target{Network: "fe80::1%eth0"}, []string{"neither"}},
		{Target{Network: "192.0.2.7/24"}, []string{"write 192.0.2.0/24 for all of it", "or 192.0.2.7 for"}},
		{Target{Network: "::ffff:0:0/90"}, []string{"0.0.0.0/0"}},
		{Target{Network: "app1"}, []string{`"app1"`, "neither"}},
		{Target{Service: "sales\x00"}, []string{"control characters", "remove"}},
		{Target{Service: "sales\xff"}, []string{"not UTF-8"}},
		{Target{Node: strings.Repeat("x", 300)}, []string{"node", "300 bytes", "within 256"}},
	} {
		_, err := ParseTarget(c.in)
		wantError(t, c.in, err, c.wants)
	}
}

func wantError(t *testing.T, in any, err error, parts []string) {
	t.Helper()
	if err == nil {
		t.Errorf("%v: accepted, want an error that says %q", in, parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: %v\nlacks %q", in, err, part)
		}
	}
}

// noon is when tests take place.
func noon() time.Time { return time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC) }

func TestAddRefusesWhatMakesNoSense(t *testing.T) {
	sales, soon := Target{Service: "sales"}, noon().Add(time.Hour)
	for _, c := range []struct {
		in    Intent
		wants []string
	}{
		{Intent{Kind: "drian", Target: sales}, []string{`"drian"`, "did you mean drain?"}},
		{Intent{Kind: Drain}, []string{"target is empty"}},
		{Intent{Kind: Weight, Target: sales, Value: 1001}, []string{"1001", "0 to 1000"}},
		{Intent{Kind: Drain, Target: sales, Value: 5}, []string{"drain has no value", "leave value out"}},
		{Intent{Kind: Hold, Target: sales, EndSessions: true}, []string{"hold ends no sessions", "drain the target"}},
		{Intent{Kind: Drain, Target: sales, EndSessions: true}, []string{"deadline", "--timeout"}},
		{Intent{Kind: Hold, Target: sales, Deadline: noon()}, []string{"has passed", "2030-05-06T12:00:00Z"}},
		{Intent{Kind: Hold, Target: sales, Deadline: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}, []string{"year 12000"}},
		{Intent{Kind: Approve, Target: sales}, []string{"ID of a quarantined registration", "broker quarantine"}},
		{Intent{Kind: Reject, Target: Target{Quarantine: "abc", Network: "192.0.2.0/24"}}, []string{"leave network out"}},
		{Intent{Kind: Drain, Target: Target{Quarantine: "abc"}}, []string{"drain is not about", "approve or reject"}},
		{Intent{Kind: Drain, Target: sales, Reason: strings.Repeat("x", 2000)}, []string{"reason", "2000 bytes"}},
		{Intent{Kind: Drain, Target: sales, Source: "a\nb"}, []string{"source", "control"}},
	} {
		s := Store{Now: noon}
		_, err := s.Add(c.in)
		wantError(t, c.in, err, c.wants)
		if len(s.All()) != 0 {
			t.Errorf("%v is kept all the same", c.in)
		}
	}
	for _, good := range []Intent{
		{Kind: Weight, Target: sales}, {Kind: Weight, Target: sales, Value: 1000}, {Kind: "DRAIN", Target: sales},
		{Kind: Drain, Target: sales, Deadline: soon, EndSessions: true}, {Kind: Maintenance, Target: sales, Deadline: soon},
		{Kind: Drain, Target: sales, Deadline: noon().Add(-time.Second), EndSessions: true}, // at once
		{Kind: Approve, Target: Target{Quarantine: "abc", Service: "sales"}},
		{Kind: Hold, Target: Target{Database: "a", Service: "b", Instance: "c@d", Node: "e", Network: "::1"}},
	} {
		s := Store{Now: noon}
		if _, err := s.Add(good); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
}

func TestDueAndEnds(t *testing.T) {
	at := noon()
	for _, c := range []struct {
		intent    Intent
		due, ends bool
	}{
		{Intent{Kind: Drain}, false, false},
		{Intent{Kind: Drain, Deadline: at}, true, false},
		{Intent{Kind: Hold, Deadline: at}, true, true},
		{Intent{Kind: Weight, Deadline: at.Add(1)}, false, true},
		{Intent{Kind: Maintenance}, false, false},
	} {
		if c.intent.Due(at) != c.due || c.intent.Ends() != c.ends {
			t.Errorf("%v: due %v, ends %v", c.intent, c.intent.Due(at), c.intent.Ends())
		}
	}
}

func TestIntentString(t *testing.T) {
	for _, c := range []struct {
		intent Intent
		want   string
	}{
		{Intent{ID: "w8", Kind: Weight, Value: 20, Target: Target{Service: "sales"}, Reason: "slow disk", Source: "ann, cli"},
			"w8 weight 20 service=sales (slow disk) by ann, cli"},
		{Intent{ID: "d7", Kind: Drain, Target: Target{Node: "db1"}, Deadline: noon(), EndSessions: true},
			"d7 drain node=db1 until 2030-05-06T12:00:00Z, then sessions are ended"},
		{Intent{ID: "w9", Kind: Weight, Target: Target{Node: "db1"}}, "w9 weight 0 node=db1"},
	} {
		if got := c.intent.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
