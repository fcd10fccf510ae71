package peers

import (
	"context"
	"maps"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"servicebroker/servicetable"
)

// Question is what a connect asks for that this broker has nothing of.
type Question struct {
	Service string
	SID     string // where no service is named
	// Lately tells that it was here a while ago, or is here and takes no clients now. Others may be names that somebody
	// makes up: for those there is less room.
	Lately bool
}

// Offer is what a peer has.
type Offer struct {
	Peer         string     // its name, or its address where this broker has the same name
	At           netip.Addr // of the peer
	Registration servicetable.Registration
}

// Bounds of questions that are put on behalf of connects.
const (
	answerLasts   = time.Second // for connects that ask for the same, whatever it was
	mostAnswers   = 2048        // kept at a time
	mostQuestions = 64          // under way at a time
	mostMadeUp    = 8           // of them about what was not here lately
	madeUpRate    = 20          // such questions a second
	lastWords     = 25 * time.Millisecond
	silentPause   = 2 * time.Second // for which connects do not wait for a peer that kept one waiting
)

// AskCounts tells of questions since the start.
type AskCounts struct {
	Found, None, Unanswered uint64 // put to peers, by what came of it
	Kept                    uint64 // connects that had the answer of a moment ago
	Limited                 uint64 // connects that could not ask, since too many did
}

// asking is what is known of questions.
type asking struct {
	mu      sync.Mutex
	flights map[string]*flight // under way, or answered a moment ago
	running int
	madeUp  int // of those
	budget  float64
	budgeted,
	swept time.Time
	closed bool
	counts AskCounts
	all    sync.WaitGroup
}

// flight is one question to all peers.
type flight struct {
	done   chan struct{} // closed when it is answered
	until  time.Time     // after that it is asked anew
	offers []Offer
}

// Ask asks the peers what they have of q, and waits for them no longer than the settings say. Connects that ask for the same
// share one question and its answer, whatever it is. asked tells that there are peers who may know now or later.
func (w *Watcher) Ask(ctx context.Context, q Question) (offers []Offer, asked bool) {
	who, limit := w.mayKnow(q)
	if who == nil {
		return nil, false
	}
	f := w.question(q, who, limit)
	if f == nil {
		return nil, true
	}
	select {
	case <-f.done:
		return f.offers, true
	case <-ctx.Done():
		return nil, true
	}
}

// question finds the question under way or answered lately, or puts it to those who may know; nil where there are none, or no
// room for it.
func (w *Watcher) question(q Question, who []*peer, limit time.Duration) *flight {
	key := strings.ToLower(q.Service)
	if q.Service == "" {
		key = "\x00" + strings.ToLower(q.SID)
	}
	a := &w.asking
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if f := a.flights[key]; f != nil && (f.until.IsZero() || now.Before(f.until)) {
		a.counts.Kept++
		return f
	}
	if len(who) == 0 {
		return nil
	}
	if !a.admit(q, now) {
		a.counts.Limited++
		return nil
	}
	f := &flight{done: make(chan struct{})}
	a.flights[key] = f
	a.all.Go(func() {
		offers, outcome := w.put(q, who, limit)
		a.mu.Lock()
		defer a.mu.Unlock()
		f.offers, f.until = offers, time.Now().Add(answerLasts)
		close(f.done)
		a.running--
		if !q.Lately {
			a.madeUp--
		}
		*outcome.of(&a.counts)++
	})
	return f
}

// admit makes room for a question, if there is any.
func (a *asking) admit(q Question, now time.Time) bool {
	if a.flights == nil {
		a.flights, a.budgeted, a.budget = map[string]*flight{}, now, madeUpRate
	}
	if len(a.flights) >= mostAnswers/2 && now.Sub(a.swept) >= answerLasts {
		a.swept = now
		maps.DeleteFunc(a.flights, func(_ string, f *flight) bool { return !f.until.IsZero() && !now.Before(f.until) })
	}
	if a.closed || a.running >= mostQuestions || len(a.flights) >= mostAnswers {
		return false
	}
	if !q.Lately {
		a.budget = min(madeUpRate, a.budget+madeUpRate*now.Sub(a.budgeted).Seconds())
		a.budgeted = now
		if a.madeUp >= mostMadeUp || a.budget < 1 {
			return false
		}
		a.budget--
		a.madeUp++
	}
	a.running++
	return true
}

func (a *asking) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.all.Wait()
}

// Asked tells of the questions since the start.
func (w *Watcher) Asked() AskCounts {
	w.asking.mu.Lock()
	defer w.asking.mu.Unlock()
	return w.asking.counts
}

// outcome is what came of a question.
type outcome uint8

const (
	unanswered outcome = iota // nobody answered
	none
	found
)

func (o outcome) of(c *AskCounts) *uint64 {
	switch o {
	case found:
		return &c.Found
	case none:
		return &c.None
	}
	return &c.Unanswered
}

// reply is what one peer says to a question.
type reply struct {
	offers []Offer
	err    error
}

// put puts a question to peers, and collects what they say: for as long as allowed until one has
// something, and then for a moment more.
func (w *Watcher) put(q Question, who []*peer, limit time.Duration) ([]Offer, outcome) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	replies := make(chan reply, len(who))
	var asking sync.WaitGroup
	defer asking.Wait()
	for _, p := range who {
		asking.Go(func() {
			offers, err := p.ask(ctx, q)
			replies <- reply{offers, err}
		})
	}
	var all []Offer
	var enough <-chan time.Time
	came := unanswered
	for range who {
		select {
		case r := <-replies:
			all = append(all, r.offers...)
			if r.err == nil {
				came = max(came, none)
			}
			if len(all) > 0 && enough == nil {
				came = found
				timer := time.NewTimer(lastWords)
				defer timer.Stop()
				enough = timer.C
			}
		case <-enough:
			cancel()
			return all, came
		}
	}
	return all, came
}

// mayKnow lists the peers who could have what this broker has not, and for how long they may be asked; nil where there are no
// peers at all. Those whose table was the same a moment ago cannot have it, as far as anybody can tell: they are not bothered
// with names that may be made up.
func (w *Watcher) mayKnow(q Question) (all []*peer, limit time.Duration) {
	own := w.Own.ledger.of(w.snapshot().Version())
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if limit = w.settings.AskTimeout; limit <= 0 {
		return nil, 0
	}
	for _, p := range w.peers {
		if p.state.Self {
			continue
		}
		if all == nil {
			all = []*peer{}
		}
		gone := p.state.Known && !p.state.Alive
		same := !q.Lately && own != nil && p.failingSince.IsZero() && p.digest == own.digest
		if !gone && !same && p.counts() && !now.Before(p.silentUntil) {
			all = append(all, p)
		}
	}
	return all, limit
}

// ask puts a question to one peer.
func (p *peer) ask(ctx context.Context, q Question) ([]Offer, error) {
	p.watcher.mu.Lock()
	c := p.client
	p.state.Asked++
	p.watcher.mu.Unlock()
	asks := url.Values{}
	if q.Service != "" {
		asks.Set("service", q.Service)
	} else {
		asks.Set("sid", q.SID)
	}
	body, got, err := c.get(ctx, OffersPath+"?"+asks.Encode(), maxAnswer)
	var offers []Offer
	if err == nil {
		offers, err = p.read(body, got.from)
	}
	p.watcher.mu.Lock()
	defer p.watcher.mu.Unlock()
	switch {
	case err == nil:
		p.state.Answered++
		if len(offers) > 0 {
			p.state.Offered++
		}
	case context.Cause(ctx) == context.DeadlineExceeded:
		p.silentUntil = time.Now().Add(silentPause)
	}
	return offers, err
}

// read makes offers of an answer.
func (p *peer) read(body []byte, from netip.Addr) ([]Offer, error) {
	who, all, _, err := decodeAnswer(body)
	if err != nil {
		return nil, err
	}
	if who.ID == p.watcher.Own.Self().ID { // it was this broker that was asked
		return nil, nil
	}
	name := who.Name
	if name == "" || strings.EqualFold(name, p.watcher.Own.Self().Name) { // brokers of one cman.ora may all be called the same
		name = p.state.address()
	}
	offers := make([]Offer, len(all))
	for i, r := range all {
		offers[i] = Offer{Peer: name, At: from, Registration: r}
	}
	return offers, nil
}
