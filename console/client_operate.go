package console

import (
	"context"
	"net/url"
	"strconv"

	"servicebroker/intent"
	"servicebroker/journal"
)

// Explain tells what would become of a connect.
func (c *Client) Explain(ctx context.Context, r ExplainRequest) (*journal.Explanation, error) {
	q := url.Values{"descriptor": {r.Descriptor}}
	if r.From.IsValid() {
		q.Set("from", r.From.String())
	}
	if r.User != "" {
		q.Set("user", r.User)
	}
	if r.Program != "" {
		q.Set("program", r.Program)
	}
	return get[*journal.Explanation](ctx, c, withQuery("/api/v1/explain", q))
}

// Explanation returns the one kept under a REF; an *APIError with status 404 if there is none.
func (c *Client) Explanation(ctx context.Context, ref string) (*journal.Explanation, error) {
	return get[*journal.Explanation](ctx, c, "/api/v1/explain/"+segment(ref))
}

// Explanations returns those that q chooses, the newest first.
func (c *Client) Explanations(ctx context.Context, q journal.FindQuery) (ExplanationList, error) {
	values := url.Values{}
	for name, value := range map[string]string{
		"connection_id": q.ConnectionID, "client": q.Client, "service": q.Service, "outcome": string(q.Outcome),
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return get[ExplanationList](ctx, c, withQuery("/api/v1/explanations", values))
}

// Events returns the events that f chooses, the oldest first.
func (c *Client) Events(ctx context.Context, f EventFilter) (EventList, error) {
	return get[EventList](ctx, c, withQuery("/api/v1/events", f.query()))
}

// Intents returns those in force.
func (c *Client) Intents(ctx context.Context) (IntentList, error) {
	return get[IntentList](ctx, c, "/api/v1/intents")
}

// Intent returns one; an *APIError with status 404 if it is no longer in force.
func (c *Client) Intent(ctx context.Context, id string) (IntentView, error) {
	return get[IntentView](ctx, c, "/api/v1/intents/"+segment(id))
}

// SetIntent puts one in force.
func (c *Client) SetIntent(ctx context.Context, r IntentRequest) (IntentView, error) {
	return call[IntentView](ctx, c, "POST /api/v1/intents", r)
}

// EndIntent takes one back and returns what had come of it.
func (c *Client) EndIntent(ctx context.Context, id string) (IntentView, error) {
	return call[IntentView](ctx, c, "DELETE /api/v1/intents/"+segment(id), nil)
}

// Traces returns the packet traces that are active, and the last that were.
func (c *Client) Traces(ctx context.Context) (TraceList, error) {
	return get[TraceList](ctx, c, "/api/v1/traces")
}

// StartTrace begins one.
func (c *Client) StartTrace(ctx context.Context, r TraceRequest) (Trace, error) {
	return call[Trace](ctx, c, "POST /api/v1/traces", r)
}

// StopTrace ends one.
func (c *Client) StopTrace(ctx context.Context, id string) (Trace, error) {
	return call[Trace](ctx, c, "DELETE /api/v1/traces/"+segment(id), nil)
}

// SetLogLevel puts a level in force until the configuration is read again.
func (c *Client) SetLogLevel(ctx context.Context, level string) (LogLevel, error) {
	return call[LogLevel](ctx, c, "PUT /api/v1/log-level", LogLevel{Level: level})
}

// Held returns the connects that wait.
func (c *Client) Held(ctx context.Context) (HeldList, error) {
	return get[HeldList](ctx, c, "/api/v1/held")
}

// Quarantine returns what waits for a decision.
func (c *Client) Quarantine(ctx context.Context) (QuarantineList, error) {
	return get[QuarantineList](ctx, c, "/api/v1/quarantine")
}

// Peers returns the other brokers that this one knows.
func (c *Client) Peers(ctx context.Context) (PeerList, error) {
	return get[PeerList](ctx, c, "/api/v1/peers")
}

// Mirrors returns the copies of the table that are kept elsewhere.
func (c *Client) Mirrors(ctx context.Context) (MirrorList, error) {
	return get[MirrorList](ctx, c, "/api/v1/mirrors")
}

// Limits returns the limits in force, and what they did.
func (c *Client) Limits(ctx context.Context) (LimitList, error) {
	return get[LimitList](ctx, c, "/api/v1/limits")
}

// Certificates returns the TLS certificates in use.
func (c *Client) Certificates(ctx context.Context) (CertificateList, error) {
	return get[CertificateList](ctx, c, "/api/v1/certificates")
}

// Decide approves or rejects what is quarantined under an id.
func (c *Client) Decide(ctx context.Context, kind intent.Kind, id string, d Decision) (IntentView, error) {
	return call[IntentView](ctx, c, "POST /api/v1/quarantine/"+segment(id)+"/"+string(kind), d)
}

// SetLoad hands over figures of one instance and returns them with instance and services as they are registered.
func (c *Client) SetLoad(ctx context.Context, l LoadReport) (LoadReport, error) {
	return call[LoadReport](ctx, c, "PUT /api/v1/load", l)
}

// CloseSession ends one session.
func (c *Client) CloseSession(ctx context.Context, id string) (Closed, error) {
	return call[Closed](ctx, c, "DELETE /api/v1/sessions/"+segment(id), nil)
}

// CloseSessions ends those that f chooses; an empty filter ends all.
func (c *Client) CloseSessions(ctx context.Context, f SessionFilter) (Closed, error) {
	q := f.query()
	if len(q) == 0 {
		q.Set("all", "true")
	}
	return call[Closed](ctx, c, "DELETE "+withQuery("/api/v1/sessions", q), nil)
}

// Reload lets the broker read its configuration again.
func (c *Client) Reload(ctx context.Context) (ReloadResult, error) {
	return call[ReloadResult](ctx, c, "POST /api/v1/reload", nil)
}

// Parameters returns the settings in force.
func (c *Client) Parameters(ctx context.Context) (ParameterList, error) {
	return get[ParameterList](ctx, c, "/api/v1/parameters")
}

// Rules returns the rules in force.
func (c *Client) Rules(ctx context.Context) (RuleList, error) {
	return get[RuleList](ctx, c, "/api/v1/rules")
}

// Stats returns what the broker has carried.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	return get[Stats](ctx, c, "/api/v1/stats")
}

// Shutdown lets the broker begin to end and returns when it has begun.
func (c *Client) Shutdown(ctx context.Context, r ShutdownRequest) (Stopping, error) {
	return call[Stopping](ctx, c, "POST /api/v1/shutdown", r)
}

// segment escapes a word that becomes part of a path. Dots alone would mean another path.
func segment(word string) string {
	switch word {
	case "", ".", "..":
		return "%20" // which names nothing, and is said to
	}
	return url.PathEscape(word)
}
