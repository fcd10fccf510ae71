package servicetable

// Snapshot is the table at one version. It never changes.
type Snapshot struct {
	version    uint64
	superseded chan struct{}
}

// Version counts the changes of the table up to this snapshot; the empty table has version 0.
func (s *Snapshot) Version() uint64 { return s.version }

// Superseded returns a channel that is closed once the table has a newer snapshot.
func (s *Snapshot) Superseded() <-chan struct{} { return s.superseded }

// Match returns the candidates for q in order of registration, or why there are none.
func (s *Snapshot) Match(q Query) ([]Candidate, error) { return s.AppendMatch(nil, q) }

// AppendMatch is Match that appends to dst.
func (s *Snapshot) AppendMatch(dst []Candidate, q Query) ([]Candidate, error) {
	return dst, ErrUnknownService
}

// ServiceEntry is one service with the instances that offer it.
type ServiceEntry struct {
	Name      string // as its first registrant wrote it
	Instances []InstanceEntry
}

// InstanceEntry is one instance of a service: one registration.
type InstanceEntry struct {
	Registration *Registration
	Service      *Service
	Status       Status
	Handlers     []HandlerEntry // those that serve this service, in the order registered
	Marks        []Mark         // on the instance
}

// HandlerEntry is one handler of an instance.
type HandlerEntry struct {
	*Handler
	Marks []Mark // on the handler
}

// Services returns what `lsnrctl services` shows, sorted by name; the instances of a service are in order of registration.
func (s *Snapshot) Services() []ServiceEntry { return nil }

// Service returns the entry of the service registered under exactly this name, in any case.
func (s *Snapshot) Service(name string) (ServiceEntry, bool) { return ServiceEntry{}, false }

// Registrations returns all registrations, sorted by key, then ID.
func (s *Snapshot) Registrations() []*Registration { return nil }

// Marks returns the marks on an instance or handler key.
func (s *Snapshot) Marks(key string) []Mark { return nil }
