package console

import (
	"net/http"
	"slices"
	"strings"

	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/servicetable"
)

// seen is a broker as somebody is shown it: everything, or what is about his services alone. All answers are made of
// what its methods return.
type seen struct {
	*Server
	by *Access
}

func (s *Server) seen(r *http.Request) seen { return seen{s, accessOf(r)} }

// all is the broker as those see it who have to do with everything.
func (s *Server) all() seen { return seen{s, &Access{}} }

func (v seen) entries(snapshot *servicetable.Snapshot) []servicetable.ServiceEntry {
	entries := snapshot.Services()
	if v.by.whole() {
		return entries
	}
	return slices.DeleteFunc(entries, func(e servicetable.ServiceEntry) bool { return !v.by.sees(e.Name) })
}

// service finds the service that a name means, as far as somebody is to know of it.
func (v seen) service(snapshot *servicetable.Snapshot, name string) (servicetable.ServiceEntry, error) {
	entry, err := snapshot.Service(name)
	if v.by.whole() || err == nil && v.by.sees(entry.Name) {
		return entry, err
	}
	return new(servicetable.Table).Snapshot().Service(name)
}

// registrations are those that offer a service which somebody has to do with, with these services alone.
func (v seen) registrations(snapshot *servicetable.Snapshot) []*servicetable.Registration {
	all := snapshot.Registrations()
	if v.by.whole() {
		return all
	}
	var shown []*servicetable.Registration
	for _, r := range all {
		part := *r
		part.Services = slices.DeleteFunc(slices.Clone(r.Services), func(s servicetable.Service) bool { return !v.by.sees(s.Name) })
		if len(part.Services) > 0 {
			shown = append(shown, &part)
		}
	}
	return shown
}

// ownsInstance tells whether all that an instance offers is somebody's.
func (v seen) ownsInstance(snapshot *servicetable.Snapshot, key string) bool {
	for _, r := range snapshot.Registrations() {
		if r.Key() == key && slices.ContainsFunc(r.Services, func(s servicetable.Service) bool { return !v.by.sees(s.Name) }) {
			return false
		}
	}
	return true
}

func (v seen) sessions() []Session {
	return shown(v.by, v.Server.sessions(), func(s *Session) bool { return v.by.sees(s.Service) })
}

func (v seen) held() []Held {
	all := shown(v.by, v.Server.Held(), func(h *Held) bool { return v.by.sees(h.Service) })
	if v.by.whole() {
		return all
	}
	clean := v.cleaner()
	for i := range all {
		all[i].Cause = clean(all[i].Cause)
	}
	return all
}

func (v seen) quarantine() []QuarantineEntry {
	return shown(v.by, v.Server.Quarantine(), func(q *QuarantineEntry) bool { return v.by.sees(q.Service) })
}

func (v seen) intents() []IntentView {
	if v.Server.Intents == nil {
		return nil
	}
	return shown(v.by, v.Server.Intents(), func(i *IntentView) bool { return v.by.mayTouch(i.Target) })
}

// shown leaves out what somebody has nothing to do with.
func shown[T any](by *Access, all []T, is func(*T) bool) []T {
	if by.whole() {
		return all
	}
	var some []T
	for i := range all {
		if is(&all[i]) {
			some = append(some, all[i])
		}
	}
	return some
}

// unready tells why the broker is not ready; to those who have to do with a part of it, that it is not.
func (v seen) unready() []string {
	reasons := v.Server.unready()
	if len(reasons) > 0 && !v.by.whole() {
		return []string{"the broker is not ready"}
	}
	return reasons
}

// notes tells what people should know besides; nothing to those who have to do with a part of the broker.
func (v seen) notes() []string {
	if v.Server.Notes == nil || !v.by.whole() {
		return nil
	}
	return v.Server.Notes()
}

// events is the filter with what somebody may see.
func (v seen) events(f journal.Filter) journal.Filter {
	if !v.by.whole() {
		f.Only = func(e *journal.Event) bool { return v.by.covers(e.Service) }
	}
	return f
}

// listEvents returns the events that a filter chooses, as somebody may see them.
func (v seen) listEvents(f journal.Filter) []journal.Event {
	found := v.Server.Journal.Events(v.events(f))
	if v.by.whole() {
		return found
	}
	clean := v.cleaner()
	for i := range found {
		switch e := &found[i]; e.Kind {
		case journal.IntentSet, journal.IntentEnded, journal.Drained, journal.Approved, journal.Rejected, journal.Administered: // which are about what is theirs
		default:
			e.Cause, e.Detail = clean(e.Cause), clean(e.Detail)
		}
	}
	return found
}

// find returns the explanations that q chooses, of connects that somebody has to do with.
func (v seen) find(q journal.FindQuery) []*journal.Explanation {
	if !v.by.whole() {
		q.Only = v.seesExplanation
	}
	found := v.Journal.Find(q)
	for i := range found {
		found[i] = v.explanation(found[i])
	}
	return found
}

// byRef returns one explanation; nil if there is none for somebody to see.
func (v seen) byRef(ref string) *journal.Explanation {
	e := v.Journal.ByRef(ref)
	if e == nil || !v.seesExplanation(e) {
		return nil
	}
	return v.explanation(e)
}

func (v seen) seesExplanation(e *journal.Explanation) bool { return v.by.sees(e.Query.Service) }

// explanation returns e with lists where it has none, so that they show as empty, and without the text of rules that are about
// others. e itself is shared and stays as it is.
func (v seen) explanation(e *journal.Explanation) *journal.Explanation {
	if e.Candidates != nil && v.by.whole() {
		return e
	}
	shown := *e
	shown.Candidates = append([]journal.Candidate{}, e.Candidates...)
	if v.by.whole() {
		return &shown
	}
	rules, clean := v.ruleList().Rules, v.cleaner()
	shown.Text, shown.Logged, shown.Attempts = clean(e.Text), nil, slices.Clone(e.Attempts)
	for i := range shown.Attempts {
		shown.Attempts[i].Error = clean(shown.Attempts[i].Error)
	}
	for _, rule := range e.Logged {
		shown.Logged = append(shown.Logged, v.ruleText(rule, rules))
	}
	if e.Rule != "" {
		shown.Rule = v.ruleText(e.Rule, rules)
	}
	for i := range shown.Candidates {
		c := &shown.Candidates[i]
		c.PassedOver = clean(c.PassedOver)
		if rule, refused := strings.CutPrefix(c.PassedOver, refusedByRule); refused {
			c.PassedOver = refusedByRule + v.ruleText(rule, rules)
		}
	}
	return &shown
}

// refusedByRule stands before the text of a rule in what explanations say of a candidate.
const refusedByRule = "refused by rule "

// ruleText puts the number of a rule in the place of its text, which may have been cut, unless all of it is about services
// that somebody has to do with.
func (v seen) ruleText(text string, rules []RuleView) string {
	whole := strings.TrimRight(text, "…")
	for i := range rules {
		switch r := &rules[i]; {
		case r.Text != text && (whole == text || !strings.HasPrefix(r.Text, whole)):
		case v.seesRule(r):
			return text
		default:
			return "rule " + r.Name
		}
	}
	return "a rule"
}

func (v seen) seesRule(r *RuleView) bool {
	return len(r.Services) > 0 && !slices.ContainsFunc(r.Services, func(p string) bool { return !v.by.covers(p) })
}

// marksOf returns marks, without what an intent says that is not for somebody to see.
func (v seen) marksOf(list []servicetable.Mark) []Mark {
	all := marks(list)
	if len(all) == 0 || v.by.whole() {
		return all
	}
	clean := v.cleaner()
	for i := range all {
		all[i].Cause = clean(all[i].Cause)
	}
	return all
}

// intent finds an intent that somebody may take back.
func (v seen) intent(id string) (intent.Intent, bool) {
	for _, one := range v.intents() {
		if one.ID == id {
			return one.Intent, true
		}
	}
	return intent.Intent{}, false
}
