// Package console shows a broker over HTTP and lets operators change it: the JSON API, pages for people, health, and the
// Go client of that API with its renderings as text. Who asks over TCP can only look; changes come over the admin socket.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/servicetable"
)

// Server answers HTTP requests about one broker. Fields left nil have nothing to tell. Time-outs are those of the
// http.Server that the handlers are given to; streams of events have their own. It must not be copied once it serves.
type Server struct {
	Snapshot func() *servicetable.Snapshot
	Sessions func() []Session // those that are open
	Identity func() Identity
	// Counters tells how many connections the broker made to a handler, named as marks name it
	// ("sales1@db1/DEDICATED"), and how many the instance refused there.
	Counters func(handlerKey string) (established, refused uint64)
	// Database names the group that a registrant belongs to, "" for none.
	Database func(*servicetable.Registration) string
	// Unready lists why the broker is not ready for clients: it does not listen yet, or is about to end.
	Unready func() []string
	// Notes lists what people should know of a broker that may be ready nevertheless; nil: nothing.
	Notes func() []string
	// Stored tells when an instance that is known from the table on disk alone was last heard of; nil: there are none.
	Stored func(*servicetable.Registration) (time.Time, bool)

	// What follows is not offered where it is nil. An error that is an *APIError is answered as it stands, one that
	// wraps ErrNotFound (or that of intent) with status 404, any other one as the asker's mistake with 400: all are shown to people.

	// Journal keeps events and explanations.
	Journal *journal.Journal
	// Explain tells what would become of a connect, without counting or changing anything.
	Explain func(context.Context, ExplainRequest) (*journal.Explanation, error)
	// Intents lists those in force, the oldest first.
	Intents func() []IntentView
	// SetIntent puts one in force, in place of one of the same kind and target, and returns it with its id.
	SetIntent func(context.Context, intent.Intent) (IntentView, error)
	// EndIntent takes one back and returns what had come of it.
	EndIntent func(ctx context.Context, id string) (IntentView, error)
	// Held lists the connects that wait.
	Held func() []Held
	// Limits lists the limits in force, the widest first.
	Limits func() []LimitView
	// Mirrors lists the copies of the table that are kept elsewhere.
	Mirrors func() []MirrorView
	// Certificates lists the TLS certificates in use, our own first.
	Certificates func() []Certificate
	// Quarantine lists what is not used before an operator decides. He does so by SetIntent with kind Approve or Reject,
	// and the entry's Service, Instance and, as Quarantine, ID as the target.
	Quarantine func() []QuarantineEntry
	// SetLoad takes figures over. Instance is the key of a registered instance, services are named as it registered them.
	SetLoad func(LoadReport) error
	// CloseSession ends one session.
	CloseSession func(id uint64) error
	// Reload reads the configuration again and puts it in force if it is good.
	Reload     func(context.Context) (ReloadResult, error)
	Parameters func() []Parameter
	Rules      func() []RuleView
	// Stats tells what the broker has carried. Nil: what Sessions, Held and Counters tell.
	Stats func() Stats
	// Peers tells of other brokers, and Table tells them of this one.
	Peers func() PeerList
	Table http.Handler
	// Metrics answers /metrics.
	Metrics http.Handler
	// MetricsAddress is host:port of the HealthHandler, where metrics then are instead of on the plain address; "": it has none.
	MetricsAddress string
	// Shutdown begins to end the broker and returns at once. The request is a sound one.
	Shutdown func(ShutdownRequest)
	// Upgrade starts a successor and hands over to it. Generations lists the processes of the broker that live.
	Upgrade     func(context.Context) (Upgraded, error)
	Generations func() []Generation
	// Traces lists packet traces, StartTrace begins one, StopTrace ends one.
	Traces     func() []Trace
	StartTrace func(TraceRequest) (Trace, error)
	StopTrace  func(id uint64) (Trace, error)
	// SetLogLevel puts a level in force until the configuration is read again, and returns it.
	SetLogLevel func(level string) (LogLevel, error)

	Hosts    []string         // host names under which the plain address may be asked, besides localhost and any IP address
	Stopping <-chan struct{}  // closed when the broker is about to end: streams of events end then
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil is silent
	Audit    *slog.Logger     // is told of each change, whoever made it or tried to; nil: Log

	streams       openStreams
	forms         formKey
	adminRequests atomic.Uint64
	adminOpen     atomic.Int32
}

// ErrNotFound says that what an operator names is not there.
var ErrNotFound = errors.New("not found")

// Identity tells which broker this is.
type Identity struct {
	Version   Version
	Started   time.Time
	Config    string // the file in force
	Route     string // relay or redirect, where no rule says otherwise
	Console   string // host:port of page and API
	REST      string // host:port of both with TLS and credentials
	Socket    string // path of the admin socket
	Listening []Endpoint

	Machine  string // name of the host; "": os.Hostname
	PID      int    // of the process; 0: os.Getpid
	LogLevel string // off, user, admin or support; "": user
	LogDir   string // folder of log files; "": there are none, the log goes to standard output
	TraceDir string // folder of packet traces; "": there is none
	// TraceLevel is user while packets of every client are traced, support if with data; "": they are not.
	TraceLevel string

	LastReload *ReloadReport // nil: the configuration is that of the start

	Generation int // of the process; 0: not known
	Others
}

func (s *Server) getServices(w http.ResponseWriter, r *http.Request) {
	snapshot, v := s.snapshot(), s.seen(r)
	s.write(w, http.StatusOK, v.serviceList(snapshot, v.entries(snapshot)))
}

func (s *Server) getService(w http.ResponseWriter, r *http.Request) {
	snapshot, v := s.snapshot(), s.seen(r)
	entry, err := v.service(snapshot, r.PathValue("name"))
	if err != nil {
		writeError(w, http.StatusNotFound, err.Error(), unknownServiceHint(r.PathValue("name"), v.entries(snapshot)))
		return
	}
	s.write(w, http.StatusOK, v.serviceList(snapshot, []servicetable.ServiceEntry{entry}))
}

// unknownServiceHint quotes names, so that whoever prints it prints no control characters.
func unknownServiceHint(name string, entries []servicetable.ServiceEntry) string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return suggestion(name, names) + "GET /api/v1/services lists what is registered"
}

func (s *Server) getSessions(w http.ResponseWriter, r *http.Request) {
	filter, err := parseFilter(r.URL.Query())
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error(), "filters are service, instance, client and upstream")
		return
	}
	list := SessionList{Sessions: []Session{}}
	for _, one := range s.seen(r).sessions() {
		if filter.matches(&one) {
			list.Sessions = append(list.Sessions, one)
		}
	}
	if accessOf(r).whole() {
		list.Older = s.older()
	}
	s.write(w, http.StatusOK, list)
}

func (s *Server) getVersion(w http.ResponseWriter, r *http.Request) {
	id := s.identity()
	id.Version.Started = id.Started
	s.write(w, http.StatusOK, id.Version)
}

// getMetrics hands over to whoever knows them.
func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) {
	if s.Metrics == nil {
		s.notFound(w, r)
		return
	}
	s.Metrics.ServeHTTP(w, r)
}

func (s *Server) getLive(w http.ResponseWriter, r *http.Request) {
	s.write(w, http.StatusOK, map[string]string{"status": "alive"})
}

func (s *Server) getReady(w http.ResponseWriter, r *http.Request) {
	v := s.seen(r)
	s.writeReadiness(w, v.unready(), v.notes())
}

// getServiceReady answers whether clients could be sent to a service now.
func (s *Server) getServiceReady(w http.ResponseWriter, r *http.Request) {
	v, snapshot, service := s.seen(r), s.snapshot(), r.PathValue("service")
	reasons := v.unready()
	_, err := v.service(snapshot, service)
	if err == nil {
		_, err = snapshot.Match(servicetable.Query{Service: service})
	}
	if err != nil {
		reasons = append(reasons, v.cleaner()(err.Error()))
	}
	s.writeReadiness(w, reasons, nil)
}

func (s *Server) writeReadiness(w http.ResponseWriter, reasons, notes []string) {
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	s.write(w, status, Readiness{Ready: len(reasons) == 0, Reasons: reasons, Notes: notes})
}

func (s *Server) snapshot() *servicetable.Snapshot {
	if s.Snapshot == nil {
		return new(servicetable.Table).Snapshot()
	}
	return s.Snapshot()
}

func (s *Server) sessions() []Session {
	if s.Sessions == nil {
		return nil
	}
	return s.Sessions()
}

func (s *Server) identity() Identity {
	var id Identity
	if s.Identity != nil {
		id = s.Identity()
	}
	if id.Machine == "" {
		id.Machine, _ = os.Hostname()
	}
	if id.PID == 0 {
		id.PID = os.Getpid()
	}
	if id.LogLevel == "" {
		id.LogLevel = "user"
	}
	return id
}

// unready is never nil, so that it shows as a list.
func (s *Server) unready() []string {
	reasons := []string{}
	if s.Unready != nil {
		reasons = append(reasons, s.Unready()...)
	}
	return reasons
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
