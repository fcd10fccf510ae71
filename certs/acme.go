package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// ACME has certificates issued by an authority that speaks ACME, and renews them when a
// third of their time is left. The authority calls back on the listening address to see
// that the names are ours (TLS-ALPN-01); a public one does so on port 443 alone.
type ACME struct {
	Directory string   // URL of the authority's directory
	Names     []string // DNS names to be certified, a certificate each; the first is shown to clients that ask for none of them
	Email     string   // where the authority writes about trouble; may be empty
	// Storage is a folder for accounts, keys and certificates, all readable by us alone.
	// Shared, if set, is used instead: brokers that share names share it, and each shows the
	// proofs of the others, since the authority calls any of them.
	Storage string
	Shared  certmagic.Storage
	// Roots is a PEM file of the authorities by whom the directory itself is trusted; "":
	// the system's.
	Roots string
	// Host and Port are those of the listening address, as the authority's call arrives
	// there; 0: 443. As long as nothing listens there, a challenge is answered there.
	Host string
	Port int
	// DNS, if set, is who puts a record into the zone that has the names, which proves that
	// they are ours (DNS-01): nobody calls then. Resolver, host:port, is a server of that zone,
	// which is asked until it shows the record.
	DNS      certmagic.DNSProvider
	Resolver string
	// KeyType is p256, p384, rsa2048, rsa4096 or ed25519; "": p256. Clients of 11.2 and 12.1
	// may know RSA alone; its handshakes cost some thirty times as much.
	KeyType string
	// CheckInterval is how often it is asked whether to renew; 0: 10 minutes. Certificates of
	// less than a day need less.
	CheckInterval time.Duration
}

// proofTTL is how long others may keep a proof.
const proofTTL = 5 * time.Second

// challengeProtocol is what an authority asks for by ALPN, and no client.
const challengeProtocol = "acme-tls/1"

func isChallenge(hello *tls.ClientHelloInfo) bool {
	return hello.ServerName != "" && len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == challengeProtocol
}

// issuance is ACME at work.
type issuance struct {
	names     []string
	key       certmagic.KeyType
	roots     *x509.CertPool
	acme      *ACME
	log       *slog.Logger
	challenge *tls.Config

	loaded chan struct{} // closed once what was issued before is in memory
	config *certmagic.Config
	cache  *certmagic.Cache
}

// loadTime is how long a handshake waits for loaded, at the very start.
const loadTime = 5 * time.Second

// prepare checks the settings. Nothing is read or asked for before begin.
func (a *ACME) prepare(log *slog.Logger) (*issuance, error) {
	i := &issuance{acme: a, log: log, loaded: make(chan struct{})}
	directory, err := url.Parse(a.Directory)
	switch {
	case err != nil || directory.Scheme != "https" || directory.Host == "":
		return nil, fmt.Errorf("ACME_DIRECTORY=%s is no https URL: give that of the authority's directory, such as https://acme-v02.api.letsencrypt.org/directory", a.Directory)
	case len(a.Names) == 0:
		return nil, errors.New("ACME_NAMES is missing: list the DNS names that clients use in HOST")
	case a.Storage == "" && a.Shared == nil:
		return nil, errors.New("ACME needs a folder to keep keys and certificates in: set STATE_DIRECTORY")
	}
	for _, name := range a.Names {
		name = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
		if strings.HasPrefix(name, "*.") || !certmagic.SubjectQualifiesForCert(name) {
			return nil, fmt.Errorf("ACME_NAMES: %q cannot be certified by a call to this address: write a host name", name)
		}
		i.names = append(i.names, name)
	}
	if i.key, err = keyType(a.KeyType); err != nil {
		return nil, err
	}
	if a.Roots != "" {
		content, err := readFile(a.Roots)
		if err != nil {
			return nil, err
		}
		m := &material{}
		if err := m.trust(a.Roots, content); err != nil {
			return nil, err
		}
		i.roots = m.trusted
	}
	i.challenge = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{challengeProtocol}, GetCertificate: i.prove}
	return i, nil
}

func keyType(name string) (certmagic.KeyType, error) {
	known := []certmagic.KeyType{certmagic.P256, certmagic.P384, certmagic.RSA2048, certmagic.RSA4096, certmagic.ED25519}
	wanted := certmagic.KeyType(strings.ToLower(cmp.Or(name, string(certmagic.P256))))
	if !slices.Contains(known, wanted) {
		return "", fmt.Errorf("key type %q is not known: write p256, p384, rsa2048, rsa4096 or ed25519", name)
	}
	return wanted, nil
}

// begin loads what was issued before and has issued what is missing, until ctx ends; stop
// has to be called then. All settings of certmagic are given, since what is not given is
// taken from its package's own defaults, which others may have changed.
func (i *issuance) begin(ctx context.Context) (stop func()) {
	logger := zapTo(i.log)
	storage := i.acme.Shared
	if storage == nil {
		storage = &certmagic.FileStorage{Path: i.acme.Storage}
	}
	i.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return i.config, nil },
		RenewCheckInterval: i.acme.CheckInterval,
		Logger:             logger,
	})
	config := certmagic.Config{
		RenewalWindowRatio: certmagic.DefaultRenewalWindowRatio,
		DefaultServerName:  i.names[0],
		FallbackServerName: i.names[0],
		KeySource:          certmagic.StandardKeyGenerator{KeyType: i.key},
		Storage:            storage,
		OCSP:               certmagic.OCSPConfig{DisableStapling: true}, // no Oracle client asks for it
		OnEvent:            func(context.Context, string, map[string]any) error { return nil },
		Logger:             logger,
	}
	issuer := certmagic.NewACMEIssuer(certmagic.New(i.cache, config), certmagic.ACMEIssuer{
		CA: i.acme.Directory, Email: i.acme.Email, Agreed: true, TrustedRoots: i.roots,
		DisableHTTPChallenge: true, ListenHost: i.acme.Host, AltTLSALPNPort: i.acme.Port, Logger: logger,
	})
	if i.acme.DNS != nil {
		issuer.DNS01Solver = &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
			DNSProvider: i.acme.DNS, TTL: proofTTL, Resolvers: []string{i.acme.Resolver}, Logger: logger,
		}}
	}
	config.Issuers = []certmagic.Issuer{issuer}
	i.config = certmagic.New(i.cache, config)
	var working sync.WaitGroup
	var missing []string
	for _, name := range i.names {
		if _, err := i.config.CacheManagedCertificate(ctx, name); err != nil {
			missing = append(missing, name)
		}
	}
	first := make(chan struct{}) // closed when the first of them has been issued
	for n, name := range missing {
		working.Go(func() {
			if n == 0 {
				defer close(first)
				i.obtain(ctx, name, i.acme.Shared != nil && i.acme.Email == "")
				return
			}
			i.awaitAccount(ctx, first)
			i.obtain(ctx, name, false)
		})
	}
	close(i.loaded)
	working.Go(func() { _ = i.cache.RenewManagedCertificates(ctx) }) // what has become due meanwhile; it logs
	return func() {
		i.cache.Stop()
		working.Wait()
	}
}

// accountTime is long enough for an account to be made.
const accountTime = 15 * time.Second

// awaitAccount lets whoever is first make the account where none has an address: certmagic takes the folder of one that is being
// made, which is named default, for an address, and the authority refuses that.
func (i *issuance) awaitAccount(ctx context.Context, first <-chan struct{}) {
	if i.acme.Email != "" {
		return
	}
	timer := time.NewTimer(accountTime)
	defer timer.Stop()
	select {
	case <-first:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Between two attempts of ours; certmagic's own within one are as many as an authority
// tolerates.
const (
	shortestPause = time.Minute
	longestPause  = 6 * time.Hour
)

// sharedTurn is how long a broker may try to have a certificate issued while others, which may be
// better placed, wait: certmagic tries for weeks, and holds its lock.
const sharedTurn = 3 * time.Minute

// accountLock is held while an account may be made that brokers share.
const accountLock = "account"

// issue has a certificate for name issued and uses it; alone, where brokers of which each
// would make an account share one, as in awaitAccount.
func (i *issuance) issue(ctx context.Context, name string, alone bool) error {
	if i.acme.Shared != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, sharedTurn)
		defer cancel()
	}
	if alone {
		if err := i.config.Storage.Lock(ctx, accountLock); err != nil {
			return err
		}
		defer func() { _ = i.config.Storage.Unlock(context.WithoutCancel(ctx), accountLock) }()
	}
	if err := i.config.ObtainCertAsync(ctx, name); err != nil { // Async only means that it asks nobody on a terminal
		return err
	}
	_, err := i.config.CacheManagedCertificate(ctx, name)
	return err
}

// obtain issues until there is a certificate for name. The others do not suffer if that
// cannot be.
func (i *issuance) obtain(ctx context.Context, name string, alone bool) {
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		err := i.issue(ctx, name, alone)
		if err == nil || ctx.Err() != nil {
			return
		}
		if i.log != nil {
			i.log.Error("no certificate for a name", "name", name, "cause", err.Error(), "again_in", pause.String(),
				"remedy", "check that the state directory can be read and written; if the certificate kept there is broken, remove its folder")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// ready waits for what was issued before to be loaded.
func (i *issuance) ready(ctx context.Context) error {
	timer := time.NewTimer(loadTime)
	defer timer.Stop()
	select {
	case <-i.loaded:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errors.New("certificates have not been loaded: Run has not been called")
	}
}

// prove answers the authority's call. Whoever calls for another name makes nobody look for
// a proof of it.
func (i *issuance) prove(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !slices.Contains(i.names, strings.ToLower(hello.ServerName)) {
		return nil, fmt.Errorf("no proof for %q: it is none of ACME_NAMES", hello.ServerName)
	}
	if err := i.ready(hello.Context()); err != nil {
		return nil, err
	}
	return i.config.GetCertificate(hello)
}

// show chooses the certificate for a client. A name that is none of ours, which Oracle's
// are, is not looked up in the storage.
func (i *issuance) show(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if err := i.ready(hello.Context()); err != nil {
		return nil, err
	}
	asked := *hello
	if asked.ServerName = strings.ToLower(hello.ServerName); !slices.Contains(i.names, asked.ServerName) {
		asked.ServerName = i.names[0]
	}
	for _, name := range append([]string{asked.ServerName}, i.names...) {
		asked.ServerName = name
		for _, cert := range i.cache.AllMatchingCertificates(name) {
			if time.Now().Before(cert.Leaf.NotAfter) {
				return &cert.Certificate, nil
			}
		}
	}
	return nil, fmt.Errorf("no certificate for %s has been issued yet: see the log for what %s says", i.names[0], i.acme.Directory)
}

// expiries are those of the certificates that have been issued.
func (i *issuance) expiries() []Expiry {
	select {
	case <-i.loaded:
	default:
		return nil
	}
	var all []Expiry
	for _, name := range i.names {
		for _, cert := range i.cache.AllMatchingCertificates(name) {
			all = append(all, Expiry{From: name, Subject: Subject(cert.Leaf), NotAfter: cert.Leaf.NotAfter})
		}
	}
	return all
}
