package broker

import (
	"net/netip"
	"time"

	"servicebroker/descriptor"
)

// ListenSettings is what an ADDRESS says besides where to listen.
type ListenSettings struct {
	TLS           *TLSSettings   // TLS_… of this address; nil: as everywhere. Fields left open are as everywhere
	Passthrough   bool           // PASSTHROUGH: TLS is carried to the instance that its server name asks for
	RateLimited   bool           // RATE_LIMIT=yes: CONNECTION_RATE counts here
	Rate          float64        // RATE_LIMIT=n, connects a second; CONNECTION_RATE does not count here then. 0: none
	Network       string         // NETWORK: services registered here are for clients of addresses of the same name
	ProxyProtocol *ProxyProtocol // PROXY_PROTOCOL of this address; nil: as everywhere
}

// StaticService is a service that is there without registering, at one address of one
// instance.
type StaticService struct {
	Name     string // of the service
	Instance string // by the name its database knows it by; empty: not known, and nobody is told to ask for it
	Address  descriptor.Address
	Tier     int    // lower ones are used first; 0 as a REGISTRANT rule says, or first
	Zone     string // where it stands
	Max      uint32 // connections it can take, for POLICY; 0: not known
	Where    string // FILE:LINE
}

// View is how clients from some networks see addresses of instances.
type View struct {
	Clients  []netip.Prefix
	Maps     []AddressMap // the first that fits applies
	Services []string     // SERVICES, patterns: those that these clients find in DNS; empty: all
}

// AddressMap replaces one address by another.
type AddressMap struct {
	From, To         string // host, by name or number
	FromPort, ToPort int    // 0: any, and the same
}

// NextHop is where all connects go that are let in, whatever they ask for.
type NextHop struct {
	Description *descriptor.Node     // as written: (DESCRIPTION=…), (ADDRESS_LIST=…) or (ADDRESS=…)
	Addresses   []descriptor.Address // in it, in order
	SourceRoute bool                 // they are gone through one after the other; else one of them is taken
}

// Aliases are the entries of a tnsnames.ora by name, in upper case.
type Aliases map[string]*descriptor.Node

// Limits says how much of something is let in. 0 is no limit, save where another is told.
type Limits struct {
	ClientRate     float64 // CLIENT_RATE: connects a second from one client address
	ServiceRate    float64 // SERVICE_RATE: connects a second for one service
	ConnectionRate float64 // CONNECTION_RATE: connects a second over all rate-limited addresses

	IPRateCount    int           // IP_RATE_COUNT: connects from one address within IPRateInterval …
	IPRateInterval time.Duration // IP_RATE_INTERVAL
	IPRateBlock    time.Duration // IP_RATE_BLOCK: … before it is refused for so long

	Guesses int // GUESS_LIMIT: names that nobody has that a client may ask for; 0: any number

	MaxSessions    int   // MAX_SESSIONS: relayed sessions at a time
	MaxConnections int   // MAX_ALL_CONNECTIONS: connections at a time, registrations among them
	Bandwidth      int64 // BANDWIDTH: bytes a second that all sessions together move, each way

	AcceptQueueWait time.Duration // ACCEPT_QUEUE_WAIT: how long a connect waits for its turn before it is refused; 0 not at all
}

// Gateways is what a file says of the processes of a Connection Manager.
type Gateways struct {
	Min, Max    int // MIN_GATEWAY_PROCESSES, MAX_GATEWAY_PROCESSES; 0: not said
	Connections int // MAX_CONNECTIONS of each; 0: not said
	CMCTL       int // MAX_CMCTL_SESSIONS; 0: not said
}

// TLSSettings is how the broker shows who it is over TCPS. Names are of files, relative to
// the working folder.
type TLSSettings struct {
	Certificate, Key   string   // TLS_CERTIFICATE, TLS_KEY: PEM; without Key it is in the same file
	ClientCA           string   // TLS_CLIENT_CA: PEM; clients have to have a certificate of one of these
	ClientAuth         string   // SSL_CLIENT_AUTHENTICATION: required, optional or none; empty: required if there is a ClientCA
	Wallet             string   // TLS_WALLET: a wallet, or its folder
	WalletPasswordFile string   // TLS_WALLET_PASSWORD_FILE
	MinVersion         uint16   // TLS_MIN_VERSION, as crypto/tls has it; 0: as everywhere
	CipherSuites       []string // SSL_CIPHER_SUITES, names of TLS 1.2 suites; nil: those thought safe
}

// ACMESettings is where certificates come from that nobody has to renew.
type ACMESettings struct {
	Directory string   // ACME_DIRECTORY, a URL
	Names     []string // ACME_NAMES: empty is off
	Email     string   // ACME_EMAIL
	Challenge string   // ACME_CHALLENGE: tls-alpn or dns-01
	SharedKey string   // ACME_SHARED_KEY: file of the secret by which brokers share what is issued; empty: they do not
	Roots     string   // ACME_ROOTS, PEM: by whom the directory is trusted; empty: whom the system trusts

	CheckInterval time.Duration // ACME_CHECK_INTERVAL
}

// UpstreamTLS is how the broker speaks TCPS with instances.
type UpstreamTLS struct {
	CA                 string   // CA: PEM of who signs their certificates; empty: whom the system trusts
	Certificate, Key   string   // CERTIFICATE, KEY: PEM, the broker's own
	Wallet             string   // WALLET, in place of these files
	WalletPasswordFile string   // WALLET_PASSWORD_FILE
	DNs                []string // DN: an instance's certificate has to name one of these; empty: its host
	NoDNMatch          bool     // DN_MATCH=off: whoever has a certificate is believed to be the host
	MinVersion         uint16   // MIN_VERSION, as crypto/tls has it
}

// ProxyProtocol is who tells the broker of other clients, and whom it tells.
type ProxyProtocol struct {
	In  []netip.Prefix      // IN: who may send a PROXY header; empty: nobody
	Out []ProxyProtocolRule // OUT: who is sent one; the first that fits applies
}

// ProxyProtocolRule says which header an instance gets.
type ProxyProtocolRule struct {
	Destination string // DST: host as registered, or a network; empty: any
	Version     int    // VERSION: 1 or 2; 0 is none
}
