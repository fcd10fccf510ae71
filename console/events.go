package console

import (
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"servicebroker/journal"
	"servicebroker/moment"
)

// EventFilter chooses events; a field left empty chooses all.
type EventFilter struct {
	Since     *uint64   // id: those after it; 0: from the oldest that is kept
	SinceTime time.Time // those from then on
	Kinds     []journal.Kind
	Service   string
	Instance  string
	Limit     int // at most so many: the oldest with Since, else the newest; 0: as many as the broker gives at once
}

// query is the form in which a filter travels.
func (f EventFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"service": f.Service, "instance": f.Instance} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for _, k := range f.Kinds {
		q.Add("kind", string(k))
	}
	switch {
	case f.Since != nil:
		q.Set("since", strconv.FormatUint(*f.Since, 10))
	case !f.SinceTime.IsZero():
		q.Set("since", f.SinceTime.Format(time.RFC3339Nano))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// parseEventFilter is the reverse of query; kinds may also stand in one value, between commas.
func parseEventFilter(q url.Values) (EventFilter, error) {
	var f EventFilter
	err := readQuery(q, map[string]func(string) error{
		"since": f.readSince, "kind": f.readKinds, "service": textInto(&f.Service), "instance": textInto(&f.Instance),
		"limit": numberInto(&f.Limit, maxListed),
	})
	return f, err
}

func (f *EventFilter) readSince(value string) error {
	id, err := strconv.ParseUint(value, 10, 64)
	if err == nil {
		f.Since = &id
		return nil
	}
	if f.SinceTime, err = time.Parse(time.RFC3339, value); err != nil {
		return fmt.Errorf("%q is neither the id of an event nor a time like 2030-05-06T12:00:00Z", value)
	}
	return moment.InUTC("the time", &f.SinceTime)
}

func (f *EventFilter) readKinds(value string) error {
	for word := range strings.SplitSeq(value, ",") {
		kind, known := journal.Kind(strings.TrimSpace(word)), journal.Kinds()
		if !slices.Contains(known, kind) {
			words := wordsOf(known)
			return fmt.Errorf("there is no kind of event %q; %skinds are %s", word, suggestion(word, words), strings.Join(words, ", "))
		}
		f.Kinds = append(f.Kinds, kind)
	}
	return nil
}

func wordsOf[T ~string](list []T) []string {
	words := make([]string, len(list))
	for i, one := range list {
		words[i] = string(one)
	}
	return words
}

// forJournal is what the journal is asked for.
func (f EventFilter) forJournal() journal.Filter {
	asked := journal.Filter{SinceTime: f.SinceTime, Kinds: f.Kinds, Service: f.Service, Instance: f.Instance, Limit: f.Limit}
	if f.Since != nil {
		asked.Since = after(*f.Since)
	}
	return asked
}

// after is the journal's word for what comes after an id: 0 would be none to it, and an id that was never given out is
// that of an earlier life, after which everything comes.
func after(id uint64) uint64 {
	if id == 0 {
		return math.MaxUint64
	}
	return id
}

// getEvents answers with a list, or with a stream for those who accept one.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.Journal != nil) {
		return
	}
	filter, err := parseEventFilter(r.URL.Query())
	if err != nil {
		writeProblem(w, err, "parameters are since, kind, service, instance and limit")
		return
	}
	if wantsStream(r) {
		s.streamEvents(w, r, filter)
		return
	}
	if filter.Limit == 0 {
		filter.Limit = defaultListed
	}
	s.write(w, http.StatusOK, EventList{Events: append([]journal.Event{}, s.seen(r).listEvents(filter.forJournal())...)})
}

// wantsStream reports whether who asks accepts a stream of events.
func wantsStream(r *http.Request) bool {
	for _, accepted := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if kind, _, err := mime.ParseMediaType(accepted); err == nil && kind == streamType {
			return true
		}
	}
	return false
}
