package console

import (
	"strings"
	"testing"

	"servicebroker/intent"
)

func TestSharedIntentsTellWhereTheyWereSet(t *testing.T) {
	hold := IntentView{Intent: intent.Intent{ID: "h1", Kind: intent.Hold, Target: intent.Target{Service: "hr"}, Created: noon()}}
	text := func(views ...IntentView) string {
		var b strings.Builder
		if err := WriteIntents(&b, IntentList{Intents: views}, noon()); err != nil {
			t.Fatal(err)
		}
		if err := WriteIntent(&b, views[0], noon()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got := text(hold); strings.Contains(got, "AT") || strings.Contains(got, "other brokers") {
		t.Error(got)
	}
	hold.Origin, hold.Shared = "cman2@host:1521", SharedYes
	if got := text(hold); !strings.Contains(got, "BY  AT") || !strings.Contains(got, "cman2@host:1521") || strings.Contains(got, "other brokers") {
		t.Error(got)
	}
	hold.Shared = SharedNotYet
	if got := text(hold); !strings.Contains(got, "cman2@host:1521 (other brokers do not know it yet)") || !strings.Contains(got, "as soon as Consul is there") {
		t.Error(got)
	}
}
