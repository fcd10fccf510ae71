package console

import (
	"testing"

	"servicebroker/intent"
)

func TestTextsAreCleanedOfOthersIntents(t *testing.T) {
	o := newOperated(t)
	own, _ := o.store.Add(intent.Intent{Kind: intent.Hold, Target: intent.Target{Service: "hr"}, Reason: "ours"})
	o.store.Add(intent.Intent{Kind: intent.Drain, Target: intent.Target{Node: "db1"}, Reason: "secret"})
	clean := seen{o.Server, &Access{Who: "x", Services: []string{"hr"}}}.cleaner()
	for text, want := range map[string]string{
		"": "", "it is blocking": "it is blocking", "dial tcp 10.0.0.1:1521: refused": "dial tcp 10.0.0.1:1521: refused",
		own.ID + ", ours": own.ID + ", ours", "held (" + own.ID + ", ours)": "held (" + own.ID + ", ours)",
		"d9, secret, root@h": "an operator wants it", "holding: h99, secret": "holding: an operator wants it", "it is draining (d9, secret); try later": "it is draining (an operator wants it)",
		"it is draining (d9)": "it is draining (an operator wants it)", "d9 drain node=db1 (secret)": "an operator wants it", own.ID + " hold service=hr; d9 drain node=db1": own.ID + " hold service=hr; an operator wants it",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
		if got := o.all().cleaner()(text); got != text {
			t.Errorf("%q becomes %q for those who see all", text, got)
		}
	}
}
