package console

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"servicebroker/intent"
	"servicebroker/journal"
)

// explained is a connect with everything there is to say about one.
func explained() *journal.Explanation {
	return &journal.Explanation{
		Ref: "K7M2QX4P", Time: noon().Add(-90 * time.Second), Client: "192.0.2.9:40001", Program: "sqlplus", Machine: "app1", User: "scott", ConnectionID: "c0ffee==",
		Query:   journal.Query{Service: "sales", Server: "dedicated", ColocationTag: "blue", Descriptor: "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"},
		Version: 12, Rule: "(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))", Logged: []string{"(RULE=(SRC=*)(DST=*)(SRV=s*)(ACT=log))"}, Policy: "adaptive",
		Candidates: []journal.Candidate{
			{Key: "sales1@db1/DEDICATED", Score: 0.12345, Inputs: journal.Inputs{
				Status: "READY", Tier: 1, Zone: "a", Reported: 40, Measure: "sessions", ReportAgeMS: 2500, Aged: 31.5, Own: 3, Capacity: 247, TauMS: 1500, Brokers: 3, Weight: 50, SlowStart: 0.25}},
			{Key: "sales2@db2/DEDICATED", Score: 17, Inputs: journal.Inputs{Status: "READY", Reported: 12000, Measure: "goodness", Own: -1, Weight: 100}, PassedOver: "tier 2 is used only when nothing of tier 1 is left"},
			{Key: "s3@a-host-with-a-longer-name/D000", Inputs: journal.Inputs{Status: "STALE", Measure: "other", Reported: 1, Weight: 100}, PassedOver: "ejected"},
			{Key: "s4@h/D000", Inputs: journal.Inputs{Status: "BLOCKED"}, PassedOver: "it is blocking"},
		},
		Omitted: 4,
		Attempts: []journal.Attempt{
			{Key: "sales1@db1/DEDICATED", Took: 500 * time.Millisecond, Error: "no answer", Hedged: true}, {Key: "sales2@db2/DEDICATED", Took: 3 * time.Millisecond},
		},
		Outcome: journal.Relay, Chosen: "sales2@db2/DEDICATED", Text: "the first one did not answer", Held: 12 * time.Second, Took: 12600 * time.Millisecond,
	}
}

func TestExplanationAsText(t *testing.T) {
	for name, e := range map[string]*journal.Explanation{
		"explanation.txt":         explained(),
		"explanation-would.txt":   {Query: journal.Query{SID: "ORCL"}, Outcome: journal.Refuse, Code: 12505, Text: "no instance has that SID"},
		"explanation-refused.txt": {Ref: "K7M2QX4P", Client: "192.0.2.9:1", Outcome: journal.Refuse, Chosen: "s1@h/DEDICATED", Code: 12516, Text: "all handlers are full"},
	} {
		var b bytes.Buffer
		if err := WriteExplanation(&b, e); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
	var b bytes.Buffer
	if err := WriteExplanations(&b, ExplanationList{Explanations: []*journal.Explanation{explained(), {Ref: "Q", Outcome: journal.Gone}}}, noon()); err != nil {
		t.Fatal(err)
	}
	golden(t, "explanations.txt", b.String())
	b.Reset()
	if err := WriteExplanation(&b, &journal.Explanation{Route: "NEXT_HOP: db1:1521"}); err != nil || !strings.Contains(b.String(), "Route         NEXT_HOP: db1:1521\n") {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestOutcomes(t *testing.T) {
	for want, e := range map[string]journal.Explanation{
		"relayed to k": {Ref: "R", Outcome: journal.Relay, Chosen: "k"}, "would be relayed to k": {Outcome: journal.Relay, Chosen: "k"},
		"redirected to k": {Ref: "R", Outcome: journal.Redirect, Chosen: "k"}, "would be held": {Outcome: journal.Hold},
		"held with ORA-12514": {Ref: "R", Outcome: journal.Hold, Code: 12514}, "refused with ORA-00020": {Ref: "R", Outcome: journal.Refuse, Code: 20},
		"refused by k with ORA-12516": {Ref: "R", Outcome: journal.Refuse, Chosen: "k", Code: 12516},
		"closed without an answer":    {Ref: "R", Outcome: journal.Drop}, "the client left before its answer": {Outcome: journal.Gone}, "odd": {Ref: "R", Outcome: "odd"},
	} {
		if got := outcomeText(&e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 1: "1", 0.12345: "0.123", 31.56: "31.6", 999.4: "999", 12345.6: "12346", -2: "-2", 1e12: "1000000000000"} {
		if got := number(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "less than 1 ms", 999 * time.Microsecond: "less than 1 ms", 3 * time.Millisecond: "3 ms", 1500 * time.Millisecond: "1.5 s", 9990 * time.Millisecond: "9.99 s",
		90 * time.Second: "1 min 30 s", 26 * time.Hour: "1 d 2 h",
	} {
		if got := lasting(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestProgressInWords(t *testing.T) {
	drain := intent.Intent{Kind: intent.Drain}
	due := intent.Intent{Kind: intent.Drain, Deadline: noon().Add(90 * time.Second)}
	for want, v := range map[string]IntentView{
		"3 of 4 sessions left": {Intent: drain, Progress: Progress{SessionsAtStart: 4, SessionsLeft: 3}}, "5 of 5 sessions left": {Intent: drain, Progress: Progress{SessionsAtStart: 4, SessionsLeft: 5}},
		"1 of 1 session left, deadline in 1 min 30 s":       {Intent: due, Progress: Progress{SessionsAtStart: 1, SessionsLeft: 1}},
		"0 of 2 sessions left, 2 ended by the broker, done": {Intent: drain, Progress: Progress{SessionsAtStart: 2, Ended: 2, Done: true}},
		"1 of 2 sessions left, deadline passed":             {Intent: due, Progress: Progress{SessionsAtStart: 2, SessionsLeft: 1, DeadlinePassed: true}},
		"":                                                  {Intent: intent.Intent{Kind: intent.Hold}}, "deadline in 1 h": {Intent: intent.Intent{Kind: intent.Weight, Deadline: noon().Add(time.Hour)}},
	} {
		if got := progressText(v, noon()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
