package console

import "time"

// ServiceList is the answer of GET /api/v1/services: the table at one version.
type ServiceList struct {
	Version  uint64    `json:"version"`
	Services []Service `json:"services"` // sorted by name
}

// Service is one service with the instances that offer it.
type Service struct {
	Name      string     `json:"name"`
	Instances []Instance `json:"instances"` // in order of registration
}

// Instance is one instance of a service. Loads and maxima are those that the database sent.
type Instance struct {
	Name     string `json:"name"`
	Key      string `json:"key"`               // "sales1@db1"
	Host     string `json:"host"`              // inner value of (HOST=…), trimmed
	HostRaw  string `json:"host_raw"`          // as registered
	Database string `json:"database"`          // the group a rule assigns the registrant to; "" for none
	Network  string `json:"network,omitempty"` // NETWORK of the address it registered at: for clients of the same alone
	Status   string `json:"status"`            // READY, BLOCKED, RESTRICTED, UNKNOWN or STALE

	NodeLoad     uint32 `json:"node_load"`
	NodeMax      uint32 `json:"node_max"`
	Load         uint32 `json:"load"`
	Max          uint32 `json:"max"`
	Goodness     uint32 `json:"goodness"`
	Delta        uint32 `json:"delta"`
	ServiceFlags uint32 `json:"service_flags"`

	RegisteredAt *time.Time `json:"registered_at"` // null for a static service
	LoadAge      *int64     `json:"load_age_ms"`   // null where load was never reported
	LoadSource   string     `json:"load_source"`   // "registration", "agent", "feed"
	Peer         string     `json:"peer"`          // address the registration came from; "" for a static service

	StoredAt *time.Time `json:"stored_at,omitempty"` // it is known from the table on disk alone, and was last heard of then; absent of all others

	Marks    []Mark    `json:"marks"`
	Handlers []Handler `json:"handlers"`
}

// Handler is one address at which an instance takes connections for a service.
type Handler struct {
	Name        string `json:"name"`
	Kind        string `json:"kind"`  // dedicated, dispatcher or pooled
	State       string `json:"state"` // ready or blocked
	Load        uint32 `json:"load"`
	Max         uint32 `json:"max"`
	Flags       uint32 `json:"flags"`
	Address     string `json:"address"`
	Info        string `json:"info"`
	Established uint64 `json:"established"` // connections this broker made there
	Refused     uint64 `json:"refused"`     // connections it refused
	Marks       []Mark `json:"marks"`
}

// Mark is what the broker holds about an instance or handler.
type Mark struct {
	Mark  string     `json:"mark"` // draining, ejected, maintenance or quarantined
	Cause string     `json:"cause"`
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until"` // null for as long as it is not taken off
}

// SessionList is the answer of GET /api/v1/sessions.
type SessionList struct {
	Sessions []Session `json:"sessions"`
	// Older are the generations from before an upgrade that keep sessions, which are not among these, whatever was asked for. It is
	// absent where there are none, and for credentials for some services.
	Older []Generation `json:"older,omitempty"`
}

// Session is one client's session that the broker relays.
type Session struct {
	ID       string `json:"id"`
	Client   string `json:"client"` // address and port
	CID      CID    `json:"cid"`
	Service  string `json:"service"`  // as registered
	Instance string `json:"instance"` // key, "sales1@db1"
	Handler  string `json:"handler"`  // its name

	Server Upstream `json:"server_connection"`

	Started    time.Time `json:"started"`
	Idle       int64     `json:"idle_ms"`
	FromClient uint64    `json:"bytes_from_client"`
	ToClient   uint64    `json:"bytes_to_client"`
	Rule       string    `json:"rule"` // that let it in
	Ref        string    `json:"ref"`  // by which to find its explanation; "" for none
}

// CID is what a client says of itself.
type CID struct {
	Program string `json:"program"`
	Host    string `json:"host"`
	User    string `json:"user"`
}

// Upstream is the broker's side towards an instance.
type Upstream struct {
	ID     string `json:"id"`
	Local  string `json:"local_address"`  // the broker's address and port as the instance sees them
	Remote string `json:"remote_address"` // the instance's
}

// Version is the answer of GET /api/v1/version.
type Version struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Release  string `json:"release"` // the listener release that clients are told, "19.0.0.0.0"
	Instance string `json:"instance"`

	Started time.Time `json:"started,omitzero"` // of the running broker; absent from what a program says of itself
}

// Endpoint is one address on which the broker listens.
type Endpoint struct {
	Protocol string `json:"protocol"` // tcp or tcps
	Host     string `json:"host"`
	Port     int    `json:"port"`
}

// Status is the answer of GET /api/v1/status. Summary is there if it was asked for with ?summary=true.
type Status struct {
	Instance      string     `json:"instance"`
	Version       string     `json:"version"`
	Started       time.Time  `json:"started"`
	Uptime        int64      `json:"uptime_ms"`
	Config        string     `json:"config"`         // the file in force; "" for the built-in default
	Route         string     `json:"route"`          // relay or redirect, where no rule says otherwise
	REST          string     `json:"rest,omitempty"` // address of page and API with TLS and credentials; absent: there is none
	Console       string     `json:"console"`        // address of page and API; "" if they are off or the address is not told
	Listening     []Endpoint `json:"listening"`
	Ready         bool       `json:"ready"`
	Reasons       []string   `json:"reasons"`         // why it is not ready
	Notes         []string   `json:"notes,omitempty"` // what else people should know, such as that part of the table is from disk
	TableVersion  uint64     `json:"table_version"`
	Services      int        `json:"services"`
	Registrations int        `json:"registrations"`
	Sessions      int        `json:"sessions"`
	Release       string     `json:"release"`                   // the listener release that clients are told, "19.0.0.0.0"
	Machine       string     `json:"machine"`                   // name of the host
	PID           int        `json:"pid"`                       // of the process
	Socket        string     `json:"socket"`                    // path of the admin socket; "" for none
	LogLevel      string     `json:"log_level"`                 // off, user, admin or support
	LogDir        string     `json:"log_directory"`             // "" where the log goes to standard output alone
	TraceDir      string     `json:"trace_directory,omitempty"` // where packet traces go
	TraceLevel    string     `json:"trace_level,omitempty"`     // of packet traces of every client: user, or support with data; absent: there is none
	AdminRequests uint64     `json:"admin_requests"`            // over the admin socket, since the start
	AdminOpen     int        `json:"admin_open"`                // of them that are not answered yet

	Generation int `json:"generation,omitempty"` // of the process, counted from 1
	Others         // for whoever may see all

	LastReload *ReloadReport    `json:"last_reload,omitempty"` // absent: the configuration is that of the start
	Summary    []ServiceSummary `json:"summary,omitempty"`     // sorted by name
}

// Others is what a broker has to do with others, each absent where that is not configured.
type Others struct {
	DNS    *DNSPlace    `json:"dns,omitempty"`
	Consul *ConsulPlace `json:"consul,omitempty"`
	Peers  *PeerCount   `json:"peers,omitempty"`
}

// DNSPlace is where the table is shown in DNS.
type DNSPlace struct {
	Zone    string `json:"zone"`
	Address string `json:"address,omitempty"` // host:port where this broker serves it; absent: it does not
	Primary string `json:"primary,omitempty"` // host:port of the server to which it is written; absent: there is none
}

// ConsulPlace is the Consul that this broker goes by.
type ConsulPlace struct {
	Address string `json:"address"`
	Problem string `json:"problem,omitempty"` // why this broker is not known there now; absent if it is
}

// PeerCount counts the other brokers that this one looks at.
type PeerCount struct {
	Alive int `json:"alive"`
	Known int `json:"known"` // those among them
}

// ReloadReport tells what came of the last reload.
type ReloadReport struct {
	At           time.Time `json:"at"`
	By           string    `json:"by"`                      // operator, signal or file: who wanted it, or that a file had changed
	OK           bool      `json:"ok"`                      // else nothing was changed
	Error        string    `json:"error,omitempty"`         // what is wrong, with its place
	Changed      []string  `json:"changed,omitempty"`       // parameters and rules that it changed
	NeedsRestart []string  `json:"needs_restart,omitempty"` // parameters that differ but are in force only after an upgrade or a restart
	Good         uint64    `json:"good"`                    // reloads since the start that were put in force
	Bad          uint64    `json:"bad"`                     // those that changed nothing
}

// ServiceSummary is one service, without its handlers and figures.
type ServiceSummary struct {
	Name      string            `json:"name"`
	Instances []InstanceSummary `json:"instances"` // in order of registration
}

// InstanceSummary is one instance of a service, in short.
type InstanceSummary struct {
	Name     string `json:"name"`
	Status   string `json:"status"`
	Handlers int    `json:"handlers"` // how many serve the service
}

// Readiness is the answer of GET /readyz, with status 200 or 503.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	Notes   []string `json:"notes,omitempty"` // what else people should know, such as that part of the table is from disk
}

// errorBody is the answer where something is wrong.
type errorBody struct {
	Error string `json:"error"`
	Hint  string `json:"hint"`
}
