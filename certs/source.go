// Package certs gives listening addresses and connections to instances their TLS: the
// certificate from PEM files, an Oracle wallet or an ACME authority, whom of the other
// side to trust, and connections that can run the second handshake of Oracle Net. What it
// reads is read again when it changes, and swapped whole; handshakes never fail on it.
package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// defaultPoll is how often files are looked at.
const defaultPoll = 10 * time.Second

// Source is where the certificate of an address, or of the connections to instances,
// comes from, and whom to trust on the other side. Fill in the fields, call Load once,
// then Run; everything else may be called at any time from any goroutine. The fields must
// not be changed once Load has been called: for other settings make another Source.
type Source struct {
	// At most one of Certificate, Wallet and ACME. None: connections to instances then
	// show no certificate, and there can be no listener.

	// Certificate is a PEM file: our certificate, followed by those that signed it. Key is
	// the PEM file of its private key; "": it is in the same file.
	Certificate, Key string
	// Wallet is a PKCS#12 file (ewallet.p12), an auto-login wallet (cwallet.sso), or the
	// folder of either. WalletPasswordFile holds the password of a PKCS#12 file in its first
	// line; "": the empty password. A wallet's other certificates are trusted if CA is "".
	Wallet, WalletPasswordFile string
	ACME                       *ACME

	// CA is a PEM file of the authorities whose certificates of the other side are trusted.
	// For a listener "" means those of the wallet, for connections to instances those of
	// the wallet and, without one, the system's.
	CA string
	// Clients says whether a listener asks clients for certificates.
	Clients ClientPolicy
	// ClientDNs are patterns of package dn: who shows a certificate has to fit one. Empty:
	// everyone whose certificate CA signed is welcome.
	ClientDNs []string

	MinVersion   uint16   // of TLS; 0: 1.2
	CipherSuites []uint16 // of TLS 1.2; nil: those with forward secrecy and authenticated encryption. ParseCipherSuites reads names

	// Poll is how often the files are compared with what is in use, by content, so that
	// any way of replacing them counts; 0: 10 s. Less notices sooner and reads more.
	Poll time.Duration
	// Reloaded, if set, is told each time the files have changed: nil if they are in use
	// now, or why the old ones are still. One call at a time.
	Reloaded func(error)
	Log      *slog.Logger // nil: silent

	reloading sync.Mutex
	current   atomic.Pointer[material]
	problem   string // what was last wrong, so that it is told once
	issued    *issuance
	front     *tls.Config // of Server; one, so that clients can resume their sessions
}

// ClientPolicy says whether clients have to show a certificate.
type ClientPolicy uint8

// The client policies.
const (
	ClientsAuto     ClientPolicy = iota // required if CA is given, otherwise not asked for
	ClientsNone                         // not asked for
	ClientsOptional                     // asked for; one that is shown has to be valid
	ClientsRequired                     // no handshake without a valid one
)

// Load checks the fields and reads the files. The error says which of them to correct. A
// certificate outside of its validity is used and warned of, since nothing better is known.
func (s *Source) Load() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if err := s.check(); err != nil {
		return err
	}
	files, sum, err := s.readFiles()
	if err != nil {
		return err
	}
	m, err := s.parse(files)
	if err != nil {
		return err
	}
	if s.ACME != nil && s.issued == nil {
		if s.issued, err = s.ACME.prepare(s.Log); err != nil {
			return err
		}
	}
	if m.server, err = s.offer(m); err != nil {
		return err
	}
	if err := m.inTime(time.Now()); err != nil {
		s.log().Warn("certificate will not be accepted", "cause", err.Error())
	}
	m.sum = sum
	s.front = &tls.Config{MinVersion: s.limits().MinVersion, GetConfigForClient: s.configFor}
	s.current.Store(m)
	return nil
}

// check refuses fields that contradict each other.
func (s *Source) check() error {
	given := 0
	for _, is := range []bool{s.Certificate != "", s.Wallet != "", s.ACME != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("more than one of TLS_CERTIFICATE, TLS_WALLET and ACME_NAMES is given: leave one")
	case s.Key != "" && s.Certificate == "":
		return fmt.Errorf("TLS_KEY=%s without TLS_CERTIFICATE: name the certificate of that key", s.Key)
	case s.WalletPasswordFile != "" && s.Wallet == "":
		return fmt.Errorf("TLS_WALLET_PASSWORD_FILE=%s without TLS_WALLET: name the wallet of that password", s.WalletPasswordFile)
	}
	return nil
}

// Reload reads the files and, if they have changed, uses them from the next handshake on.
// If they cannot be used the old ones stay in use, and the error says why and what to do.
func (s *Source) Reload() (changed bool, err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	old := s.current.Load()
	if old == nil {
		return false, errors.New("nothing was loaded that could be replaced")
	}
	files, sum, err := s.readFiles()
	if err == nil && sum == old.sum {
		s.problem = ""
		return false, nil
	}
	var m *material
	if err == nil {
		m, err = s.replacement(files)
	}
	if err != nil {
		err = fmt.Errorf("%w (the old one stays in use)", err)
		s.tell(err)
		return false, err
	}
	m.sum = sum
	s.current.Store(m)
	s.problem = ""
	if s.Reloaded != nil {
		s.Reloaded(nil)
	}
	for _, e := range m.expiries {
		s.log().Info("certificate replaced", "from", e.From, "subject", e.Subject, "expires", e.NotAfter)
	}
	return true, nil
}

// replacement is what the files hold, if that is no worse than what is in use.
func (s *Source) replacement(files map[string][]byte) (*material, error) {
	m, err := s.parse(files)
	if err != nil {
		return nil, err
	}
	if err := m.inTime(time.Now()); err != nil {
		return nil, err
	}
	m.server, err = s.offer(m)
	return m, err
}

// tell reports a problem the first time it is met.
func (s *Source) tell(err error) {
	if err.Error() == s.problem {
		return
	}
	s.problem = err.Error()
	s.log().Error("certificate not replaced", "cause", err.Error())
	if s.Reloaded != nil {
		s.Reloaded(err)
	}
}

// Run looks for changed files, and has ACME certificates issued and renewed, until ctx
// ends. The listener has to be open by then, since an authority may call back at once.
func (s *Source) Run(ctx context.Context) error {
	if s.current.Load() == nil {
		return errors.New("Run before Load")
	}
	if s.issued != nil {
		defer s.issued.begin(ctx)()
	}
	ticker := time.NewTicker(cmp.Or(s.Poll, defaultPoll))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			_, _ = s.Reload() // which has told whatever is wrong
		}
	}
}

// Expiries are those of all certificates in use, our own first.
func (s *Source) Expiries() []Expiry {
	var all []Expiry
	if s.issued != nil {
		all = s.issued.expiries()
	}
	if m := s.current.Load(); m != nil {
		all = append(all, m.expiries...)
	}
	return all
}

// HasCertificate tells whether there is a certificate to show. Of an ACME source there is
// none before the first was issued.
func (s *Source) HasCertificate() bool {
	if s.issued != nil {
		return len(s.issued.expiries()) > 0
	}
	m := s.current.Load()
	return m != nil && m.certificate != nil
}

func (s *Source) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// ServerConfig is a configuration for servers of other protocols, such as HTTPS: it stays
// the same and follows what is in use. It answers no challenge of ACME; Server does. The
// error says that there can be no certificate.
func (s *Source) ServerConfig() (*tls.Config, error) {
	if err := s.canServe(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: s.limits().MinVersion, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return s.current.Load().server, nil
	}}, nil
}

// Server makes the server's side of TLS out of a connection accepted on a listening
// address. The error says that there can be no certificate.
func (s *Source) Server(raw net.Conn) (*Conn, error) {
	if err := s.canServe(); err != nil {
		return nil, err
	}
	return newConn(raw, s.side), nil
}

func (s *Source) side(raw net.Conn) *tls.Conn { return tls.Server(raw, s.front) }

func (s *Source) canServe() error {
	if m := s.current.Load(); m == nil || m.certificate == nil && s.issued == nil {
		return errors.New("a listening address with PROTOCOL=tcps needs a certificate: give TLS_CERTIFICATE and TLS_KEY, TLS_WALLET, or ACME_DIRECTORY and ACME_NAMES")
	}
	return nil
}

// configFor chooses by the ClientHello. Only an authority's challenge is offered a
// protocol: a server that offers any refuses clients that ask for others alone.
func (s *Source) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if s.issued != nil && isChallenge(hello) {
		return s.issued.challenge, nil
	}
	return s.current.Load().server, nil
}
