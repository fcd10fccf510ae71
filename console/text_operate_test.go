package console

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"servicebroker/intent"
	"servicebroker/journal"
)

// writers are all renderings of what operators see, with every text in them being word.
func writers(word string) map[string]func(io.Writer) error {
	e := explained()
	e.Ref, e.Client, e.Program, e.Machine, e.User, e.ConnectionID, e.Rule, e.Policy, e.Chosen, e.Text = word, word, word, word, word, word, word, word, word, word
	e.Query = journal.Query{Service: word, SID: word, Instance: word, Server: word, ColocationTag: word, Descriptor: word}
	e.Candidates = []journal.Candidate{{Key: word, PassedOver: word, Inputs: journal.Inputs{Status: word, Zone: word, Measure: word}}}
	e.Attempts = []journal.Attempt{{Key: word, Error: word}}
	e.Outcome = journal.Outcome(word)
	view := IntentView{Intent: intent.Intent{ID: word, Kind: intent.Kind(word), Reason: word, Source: word,
		Target: intent.Target{Database: word, Service: word, Instance: word, Node: word, Network: word, Quarantine: word}}}
	event := journal.Event{Kind: journal.Kind(word), Service: word, Instance: word, Database: word, Host: word, Cause: word, Detail: word, Status: word, Reason: word}
	held := []Held{{Service: word, Client: word, Ref: word, Cause: word}}
	return map[string]func(io.Writer) error{
		"explanation": func(w io.Writer) error { return WriteExplanation(w, e) },
		"explanations": func(w io.Writer) error {
			return WriteExplanations(w, ExplanationList{[]*journal.Explanation{e}}, noon())
		},
		"events":  func(w io.Writer) error { return WriteEvents(w, EventList{[]journal.Event{event}}) },
		"intents": func(w io.Writer) error { return WriteIntents(w, IntentList{[]IntentView{view}}, noon()) },
		"intent":  func(w io.Writer) error { return WriteIntent(w, view, noon()) },
		"undone":  func(w io.Writer) error { return WriteAllTakenBack(w, IntentList{[]IntentView{view}}, noon()) },
		"held":    func(w io.Writer) error { return WriteHeld(w, heldList(held, "", 9), noon()) },
		"quarantine": func(w io.Writer) error {
			return WriteQuarantine(w, QuarantineList{[]QuarantineEntry{{ID: word, Service: word, Instance: word, Peer: word, Database: word, Cause: word}}}, noon())
		},
		"closed": func(w io.Writer) error { return WriteClosed(w, Closed{[]string{word}}) },
		"reload": func(w io.Writer) error {
			return WriteReload(w, ReloadResult{word, []string{word}, []string{word}, []ConfigMessage{{word, 1, 2, word, word}}})
		},
		"parameters": func(w io.Writer) error {
			return WriteParameters(w, ParameterList{[]Parameter{{word, word, word, true, word, word}}})
		},
		"rules": func(w io.Writer) error {
			return WriteRules(w, RuleList{[]RuleView{{Name: word, Group: word, Services: []string{word}, DNs: []string{word}, Text: word, Where: word, Matched: 1}}})
		},
		"client": func(w io.Writer) error {
			return WriteClient(w, Session{ID: word, Client: word, CID: CID{word, word, word}, Service: word, Instance: word, Server: Upstream{Local: word}, Ref: word}, noon())
		},
	}
}

func TestOperatorsTextIsHarmlessToTerminals(t *testing.T) {
	for name, write := range writers("a\x1b[2Jb\nc\u202ed\x00") {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\x00\u202e") || strings.Contains(b.String(), "\nc") {
			t.Errorf("%s: %q", name, b.String())
		}
	}
}

func TestOperatorsWriteErrorsAreReturned(t *testing.T) {
	for name, write := range writers("word") {
		if write(full{}) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestOperatorsText(t *testing.T) {
	until := noon().Add(30 * time.Minute)
	drain := IntentView{
		Intent:   intent.Intent{ID: "d1", Kind: intent.Drain, Target: intent.Target{Service: "sales", Instance: "sales1@db1"}, Created: noon().Add(-time.Minute), Deadline: until, Reason: "new memory", Source: "scott@app1"},
		Progress: Progress{SessionsAtStart: 12, SessionsLeft: 5},
	}
	weight := IntentView{Intent: intent.Intent{ID: "w2", Kind: intent.Weight, Value: 50, Target: intent.Target{Node: "db1"}, Created: noon().Add(-time.Hour)}}
	event := journal.Event{ID: 7, Time: noon(), Kind: journal.Moved, Service: "sales", Instance: "sales2", Host: "db2", Cause: "it left sales1@db1"}
	var many []string
	for i := range 25 {
		many = append(many, fmt.Sprint(i))
	}
	var b bytes.Buffer
	for _, err := range []error{
		WriteIntents(&b, IntentList{[]IntentView{drain, weight}}, noon()), WriteIntent(&b, drain, noon()), WriteIntent(&b, weight, noon()),
		WriteIntents(&b, IntentList{}, noon()),
		WriteHeld(&b, heldList(waiting(), "", 2), noon()), WriteHeld(&b, HeldList{}, noon()),
		WriteQuarantine(&b, QuarantineList{newOperated(t).Quarantine()}, noon()), WriteQuarantine(&b, QuarantineList{}, noon()),
		WriteEvents(&b, EventList{[]journal.Event{event}}), WriteEvents(&b, EventList{}),
		WriteClosed(&b, Closed{[]string{"1", "2"}}), WriteClosed(&b, Closed{many}), WriteClosed(&b, Closed{}),
		WriteReload(&b, ReloadResult{"/etc/cman.ora", []string{"HOLD_TIMEOUT"}, []string{"CONSOLE_ADDRESS"}, []ConfigMessage{{"cman.ora", 3, 4, "warning", "what"}}}),
		WriteReload(&b, ReloadResult{}),
		WriteParameters(&b, ParameterList{[]Parameter{{"HOLD_TIMEOUT", "30", "30", false, "", "how long a connect waits"}}}), WriteParameters(&b, ParameterList{}),
		WriteRules(&b, RuleList{[]RuleView{{Name: "1", Text: "(RULE=(SRC=*))", Where: "cman.ora:3", Matched: 12}}}), WriteRules(&b, RuleList{}),
		WriteExplanations(&b, ExplanationList{}, noon()), WriteClient(&b, openSessions()[0], noon()), WriteClient(&b, openSessions()[1], noon()),
	} {
		b.WriteString("\n")
		if err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "operators.txt", b.String())
}
