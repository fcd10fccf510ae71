package peers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Access is how this broker is let in by its peers. The zero value is without credentials, and believes whom the system believes.
type Access struct {
	Credentials string // file with NAME:PASSWORD, or a token, in its first line; they are sent over TLS alone
	CA          string // PEM file of the authorities who sign the peers' certificates

	header string
	roots  *x509.CertPool
	files  [2]fileState // as they were read
}

// fileState tells one content of a file from another.
type fileState struct {
	modified time.Time
	size     int64
	mode     os.FileMode
}

// look returns how the files are now.
func (a *Access) look() (files [2]fileState) {
	for i, path := range []string{a.Credentials, a.CA} {
		if info, err := os.Stat(path); path != "" && err == nil {
			files[i] = fileState{info.ModTime(), info.Size(), info.Mode()}
		}
	}
	return files
}

// same tells that two were read of the same files, as they were at the same time.
func (a *Access) same(b *Access) bool {
	return a.Credentials == b.Credentials && a.CA == b.CA && a.files == b.files
}

// Load reads the files.
func (a *Access) Load() error {
	a.files = a.look() // before they are read: what changes meanwhile is seen as a change
	if a.CA != "" {
		text, err := os.ReadFile(a.CA)
		if err != nil {
			return fmt.Errorf("PEER_CA: %w: name a PEM file that this user may read", err)
		}
		if cutOff(text) {
			return fmt.Errorf("PEER_CA: %s is cut off, or damaged: replace it by a whole one, best by renaming that to it", a.CA)
		}
		a.roots = x509.NewCertPool()
		if !a.roots.AppendCertsFromPEM(text) {
			return fmt.Errorf("PEER_CA: %s has no certificate: it has to be a PEM file with that of the authority that signs the peers' certificates, or theirs", a.CA)
		}
	}
	if a.Credentials == "" {
		return nil
	}
	info, err := os.Stat(a.Credentials)
	if err != nil {
		return fmt.Errorf("PEER_CREDENTIALS: %w: write NAME:PASSWORD into a file that others may not read", err)
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 { // the group may read, as it has to in a pod
		return fmt.Errorf("PEER_CREDENTIALS: %s can be read or written by others (mode %04o): chmod 600 %s", a.Credentials, mode, a.Credentials)
	}
	text, err := os.ReadFile(a.Credentials)
	if err != nil {
		return fmt.Errorf("PEER_CREDENTIALS: %w: let this user read it", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	switch line = strings.TrimSpace(line); {
	case line == "":
		return fmt.Errorf("PEER_CREDENTIALS: the first line of %s is empty: write NAME:PASSWORD into it, of a viewer in the peers' REST_CREDENTIALS", a.Credentials)
	case strings.Contains(line, ":"):
		a.header = "Basic " + base64.StdEncoding.EncodeToString([]byte(line))
	default:
		a.header = "Bearer " + line
	}
	return nil
}

// cutOff reports whether a PEM file has something after its last whole block that begins and does not end: whoever writes it is not done.
func cutOff(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		text = rest
	}
	return bytes.Contains(text, []byte("-----BEGIN"))
}

// CheckAPI tells what is wrong with the address of a peer's API as somebody wrote it.
func CheckAPI(text string) error {
	const write = "write https://HOST:PORT of its REST_ADDRESS, or http://HOST:PORT of its CONSOLE_ADDRESS"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%.100q is no address of an API: %s", text, write)
	case u.User != nil:
		return errors.New("credentials have no place in the address of an API: put NAME:PASSWORD into a file, and name that as PEER_CREDENTIALS")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%.100q has more than an address: %s", text, write)
	case u.Port() == "":
		return fmt.Errorf("%.100q names no port: %s", text, write)
	}
	return nil
}

// Errors of a client that matter to those who ask.
var (
	errSilent   = errors.New("it does not answer in time")
	errNotLetIn = errors.New("it does not let this broker in")
)

// client asks one peer.
type client struct {
	base    string
	access  Access
	http    *http.Client
	retired atomic.Bool // it is asked no more, but for what is under way
}

// newClient prepares to ask; connections are made as they are needed, few, and kept.
func newClient(api string, access Access) *client {
	transport := &http.Transport{
		MaxIdleConnsPerHost: 2, MaxConnsPerHost: 8, IdleConnTimeout: 50 * time.Second, TLSHandshakeTimeout: 5 * time.Second,
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: access.roots},
	}
	return &client{base: strings.TrimSuffix(api, "/"), access: access, http: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// close ends its connections, those in use once they are so no more.
func (c *client) close() {
	c.retired.Store(true)
	c.http.CloseIdleConnections()
}

// origin tells of an answer.
type origin struct {
	from  netip.Addr // who gave it
	asked time.Time  // when there was a connection to ask over
}

// get asks for a path, and returns the body, of at most so many bytes.
func (c *client) get(ctx context.Context, path string, most int64) (body []byte, got origin, err error) {
	defer func() {
		if c.retired.Load() {
			c.http.CloseIdleConnections()
		}
	}()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		got.asked = time.Now()
		if a, err := netip.ParseAddrPort(i.Conn.RemoteAddr().String()); err == nil {
			got.from = a.Addr().Unmap().WithZone("")
		}
	}})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, got, err
	}
	if request.URL.Scheme == "https" {
		if c.access.header != "" {
			request.Header.Set("Authorization", c.access.header)
		}
	} else {
		// A console answers under names of its own alone, because of what browsers let others do. This is none.
		request.Host = "localhost"
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, origin{}, inWords(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, got, refused(response)
	}
	body, err = io.ReadAll(io.LimitReader(response.Body, most+1))
	switch {
	case err != nil:
		return nil, got, inWords(err)
	case int64(len(body)) > most:
		return nil, got, fmt.Errorf("%w: its answer is longer than %d bytes", errStranger, most)
	}
	return body, got, nil
}

// refused says what to do about an answer that is none.
func refused(r *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(r.Body, 4096))
	var problem struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(text, &problem)
	said := ""
	if problem.Error != "" {
		said = ": " + printable(problem.Error[:min(len(problem.Error), 200)])
	}
	switch r.StatusCode {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w%s: put NAME:PASSWORD of a viewer in its REST_CREDENTIALS into a file, and name that as PEER_CREDENTIALS", errNotLetIn, said)
	case http.StatusTooManyRequests:
		return fmt.Errorf("%w for now%s", errNotLetIn, said)
	case http.StatusForbidden:
		return fmt.Errorf("it does not show its table to these credentials%s: use those of a viewer without services=", said)
	case http.StatusNotFound:
		return fmt.Errorf("%w (status %d)%s", errStranger, r.StatusCode, said)
	}
	return fmt.Errorf("it answers with status %d%s", r.StatusCode, said)
}

// inWords is an error of a request for people, with what to do.
func inWords(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // without the address, which is named anyway
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, misnamed := errors.AsType[x509.HostnameError](err)
	switch {
	case unknown:
		return fmt.Errorf("%w: name the file with the authority of its certificate as PEER_CA", err)
	case misnamed:
		return fmt.Errorf("%w: use the host name that its certificate has in PEERS", err)
	case errors.Is(err, context.DeadlineExceeded):
		return errSilent
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: see whether that broker runs, and has its API there", err)
	}
	return err
}
