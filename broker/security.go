package broker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/certmagic"

	"servicebroker/certs"
	"servicebroker/descriptor"
	"servicebroker/discovery/consul"
)

// security is the broker's side of TLS: certificates of its listening addresses, and
// of its connections to instances. What is in use is replaced whole.
type security struct {
	current atomic.Pointer[tlsInUse]
	changed chan struct{} // has room for one: there is other work for tend
}

// tlsInUse is what a configuration makes of TLS. It never changes; what its sources read
// may.
type tlsInUse struct {
	listening []front       // of each listening address, in their order
	rest      *certs.Source // of REST_ADDRESS; nil: it is off
	outbound  *certs.Outbound
	sources   map[string]*certs.Source // all of them, by what they were made of
}

// front is what happens to connections of a listening address before their first packet.
type front struct {
	proxies     []netip.Prefix // who has to send a PROXY header
	source      *certs.Source  // nil: without TLS
	passthrough bool           // TLS is the instance's matter
}

// tlsPlace is a listening address for which a certificate is wanted.
type tlsPlace struct {
	address  descriptor.Address
	settings ListenSettings
}

// tlsMaker makes the sources that a configuration asks for, and reads their files. Those
// of before that are the same go on being used.
type tlsMaker struct {
	config *Config
	places []tlsPlace // the listening addresses in their order
	before *tlsInUse  // may be nil
	proofs func() (certmagic.DNSProvider, string)
	consul *consul.Client // for what brokers share; may be nil
	log    *slog.Logger
	made   tlsInUse
}

func (m *tlsMaker) all() (*tlsInUse, error) {
	var errs []error
	for i := range m.places {
		errs = append(errs, m.place(i))
	}
	errs = append(errs, m.rest(), m.outbound())
	made := m.made // a pointer into m would keep m alive, and with it all that was in use before
	return &made, errors.Join(errs...)
}

// place makes the source of one listening address.
func (m *tlsMaker) place(i int) error {
	place := m.places[i]
	if m.made.listening == nil {
		m.made.listening = make([]front, len(m.places))
	}
	f := &m.made.listening[i]
	f.proxies = m.config.ProxyProtocol.In
	if own := place.settings.ProxyProtocol; own != nil {
		f.proxies = own.In
	}
	if !strings.EqualFold(place.address.Protocol, "tcps") {
		return nil
	}
	source, err := m.sourceFor(place)
	if err == nil {
		source, err = m.use(source)
	}
	if err == nil && !place.settings.Passthrough {
		_, err = source.ServerConfig()
	}
	if err != nil {
		return fmt.Errorf("ADDRESS %s: %w", place.address, err)
	}
	f.source, f.passthrough = source, place.settings.Passthrough
	return nil
}

func (m *tlsMaker) outbound() error {
	u := &m.config.UpstreamTLS
	source, err := m.use(&certs.Source{
		Certificate: u.Certificate, Key: u.Key, Wallet: u.Wallet, WalletPasswordFile: u.WalletPasswordFile, CA: u.CA,
		Clients: certs.ClientsNone, MinVersion: u.MinVersion, Log: m.log,
	})
	if err != nil {
		return fmt.Errorf("UPSTREAM_TLS: %w", err)
	}
	m.made.outbound = &certs.Outbound{Source: source, DNs: u.DNs, AnyName: u.NoDNMatch}
	return nil
}

// use returns a source that was made of the same, or s once its files are read.
func (m *tlsMaker) use(s *certs.Source) (*certs.Source, error) {
	key := sourceKey(s)
	if m.made.sources == nil {
		m.made.sources = map[string]*certs.Source{}
	}
	if same := m.made.sources[key]; same != nil {
		return same, nil
	}
	if m.before != nil && m.before.sources[key] != nil {
		s = m.before.sources[key]
	} else if err := s.Load(); err != nil {
		return nil, err
	}
	m.made.sources[key] = s
	return s, nil
}

// sourceKey tells sources apart by what they are made of.
func sourceKey(s *certs.Source) string {
	key := fmt.Sprintf("%q %q %q %q %q %d %q %d %d", s.Certificate, s.Key, s.Wallet, s.WalletPasswordFile, s.CA, s.Clients, s.ClientDNs, s.MinVersion, s.CipherSuites)
	if a := s.ACME; a != nil {
		key += fmt.Sprintf(" acme %q %q %q %q %q %v %q", a.Directory, a.Names, a.Email, a.Storage, a.Roots, a.CheckInterval, a.Resolver)
		if f, is := a.Shared.(*consul.Files); is {
			key += fmt.Sprintf(" shared %x", sha256.Sum256(f.Secret))
		}
	}
	return key
}

// sourceFor is where the certificate of a listening address comes from: its own, else that
// of ACME, else the one for all.
func (m *tlsMaker) sourceFor(place tlsPlace) (*certs.Source, error) {
	c := m.config
	settings := c.TLS.with(place.settings.TLS)
	s := &certs.Source{
		Certificate: settings.Certificate, Key: settings.Key, Wallet: settings.Wallet, WalletPasswordFile: settings.WalletPasswordFile,
		CA: settings.ClientCA, Clients: clientPolicies[settings.ClientAuth], MinVersion: settings.MinVersion, Log: m.log,
	}
	for _, name := range settings.CipherSuites { // those that cannot be had have been told of
		suite, _ := certs.ParseCipherSuites([]string{name})
		s.CipherSuites = append(s.CipherSuites, suite...)
	}
	if !c.byACME(place) {
		return s, nil
	}
	shared, err := c.acmeShared(m.consul)
	if err != nil {
		return nil, err
	}
	first := m.places[slices.IndexFunc(m.places, c.byACME)]
	s.ACME = &certs.ACME{
		Directory: c.ACME.Directory, Names: c.ACME.Names, Email: c.ACME.Email, Roots: c.ACME.Roots, Storage: c.acmeStorage(), Shared: shared,
		Host: first.address.Host, Port: first.address.Port, CheckInterval: c.ACME.CheckInterval,
	}
	if c.ACME.Challenge == challengeDNS && m.proofs != nil {
		s.ACME.DNS, s.ACME.Resolver = m.proofs()
	}
	return s, nil
}

// byACME tells whether the certificate of a place is one that ACME issues.
func (c *Config) byACME(p tlsPlace) bool {
	return strings.EqualFold(p.address.Protocol, "tcps") && !p.settings.TLS.hasCertificate() && len(c.ACME.Names) > 0
}

// acmeStorage is where keys and certificates are kept; "" if there is no place.
func (c *Config) acmeStorage() string {
	dir, err := c.stateDirectory()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "acme")
}

var clientPolicies = map[string]certs.ClientPolicy{
	"required": certs.ClientsRequired, "optional": certs.ClientsOptional, "none": certs.ClientsNone,
}

func (t *TLSSettings) hasCertificate() bool {
	return t != nil && (t.Certificate != "" || t.Wallet != "")
}

// with is t where own leaves it open.
func (t TLSSettings) with(own *TLSSettings) TLSSettings {
	if own == nil {
		return t
	}
	if own.hasCertificate() {
		t.Certificate, t.Key, t.Wallet, t.WalletPasswordFile = own.Certificate, own.Key, own.Wallet, own.WalletPasswordFile
	}
	t.ClientCA = cmp.Or(own.ClientCA, t.ClientCA)
	t.MinVersion = cmp.Or(own.MinVersion, t.MinVersion)
	return t
}

// places are the listening addresses as they are bound, with what c says of them. One that
// c does not know any more, which only a restart changes, stays as it was.
func (b *Broker) places(c *Config) []tlsPlace {
	places := make([]tlsPlace, len(b.config.Addresses))
	for i, address := range b.config.Addresses {
		settings := b.config.listening(i)
		same := func(a descriptor.Address) bool {
			return strings.EqualFold(a.Protocol, address.Protocol) && strings.EqualFold(a.Host, address.Host) && a.Port == address.Port
		}
		if i < len(c.Addresses) && same(c.Addresses[i]) {
			settings = c.listening(i)
		} else if at := slices.IndexFunc(c.Addresses, same); at >= 0 {
			settings = c.listening(at)
		}
		places[i] = tlsPlace{address: address, settings: settings}
		if i < len(b.listeners) { // where the port is chosen
			places[i].address.Port = b.listeners[i].Addr().(*net.TCPAddr).Port
		}
	}
	return places
}

// listening is what is different for the address of that number.
func (c *Config) listening(i int) ListenSettings {
	if i < len(c.Listening) {
		return c.Listening[i]
	}
	return ListenSettings{}
}

// prepareTLS makes of c what useTLS puts in use, if all of it can be.
func (b *Broker) prepareTLS(c *Config) (*tlsInUse, error) {
	maker := tlsMaker{config: c, places: b.places(c), before: b.security.current.Load(), proofs: b.proofs, log: b.log.With("component", "certificates")}
	if b.consul != nil {
		maker.consul = b.consul.client
	}
	return maker.all()
}

func (b *Broker) useTLS(t *tlsInUse) {
	b.security.current.Store(t)
	nudge(b.security.changed)
}

// refreshCertificates reads all files again, now, as a reload asks. Those that cannot be
// used any more are named; the old ones stay in use.
func (b *Broker) refreshCertificates() (changed bool, err error) {
	var errs []error
	for _, source := range b.security.current.Load().sources {
		replaced, err := source.Reload()
		changed = changed || replaced
		errs = append(errs, err)
	}
	return changed, errors.Join(errs...)
}

// tend keeps the sources that are in use up to date until ctx ends. It returns when all
// work on them is over.
func (s *security) tend(ctx context.Context, log *slog.Logger) {
	tended := map[*certs.Source]context.CancelFunc{}
	var work sync.WaitGroup
	defer work.Wait()
	for {
		wanted := map[*certs.Source]bool{}
		for _, source := range s.current.Load().sources {
			wanted[source] = true
		}
		for source, stop := range tended {
			if !wanted[source] {
				stop()
				delete(tended, source)
			}
		}
		for source := range wanted {
			if tended[source] != nil {
				continue
			}
			own, stop := context.WithCancel(ctx)
			tended[source] = stop
			work.Go(func() {
				defer stop()
				if err := source.Run(own); err != nil {
					log.Error("certificates are not kept up to date", "cause", err.Error())
				}
			})
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return
		}
	}
}

// Certificates are those in use, and until when: of the listening addresses, then of the
// connections to instances, then the authorities of either.
func (b *Broker) Certificates() []certs.Expiry {
	var own, trusted []certs.Expiry
	t := b.security.current.Load()
	seen := map[*certs.Source]bool{}
	var sources []*certs.Source
	for _, f := range t.listening {
		sources = append(sources, f.source)
	}
	for _, source := range append(sources, t.rest, t.outbound.Source) {
		if source == nil || seen[source] {
			continue
		}
		seen[source] = true
		for _, e := range source.Expiries() {
			if e.Trusted {
				trusted = append(trusted, e)
			} else {
				own = append(own, e)
			}
		}
	}
	return append(own, trusted...)
}
