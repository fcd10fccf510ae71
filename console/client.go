package console

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Client asks a broker's API. Its methods may be called from any goroutine.
type Client struct {
	API     string        // "http://HOST:PORT", "https://HOST:PORT" or "unix:PATH" of the admin socket
	Timeout time.Duration // of one request with its answer; 0 is 10 s

	// Authorize returns the value of the header Authorization for an https API; nil: none is sent. Nothing is ever sent
	// without TLS.
	Authorize func() (string, error)
	CA        string // PEM file of the authorities who sign the broker's certificate; "": the system's
}

// ErrUnreachable says that no broker answered at Client.API.
var ErrUnreachable = errors.New("cannot reach the broker")

// APIError is an answer that says what is wrong.
type APIError struct {
	Status  int // of HTTP
	Message string
	Hint    string // what to do; may be empty
}

// Error returns the message, and the hint where there is one.
func (e *APIError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// Services returns the whole table.
func (c *Client) Services(ctx context.Context) (ServiceList, error) {
	return get[ServiceList](ctx, c, "/api/v1/services")
}

// Service returns one service, by its name with or without domain; an *APIError with status 404 if there is none.
func (c *Client) Service(ctx context.Context, name string) (ServiceList, error) {
	switch name {
	case "", ".", "..": // which in an address would mean something else
		return ServiceList{}, &APIError{
			Status: http.StatusNotFound, Message: fmt.Sprintf("there is no service %q", name), Hint: "GET /api/v1/services lists what is registered",
		}
	}
	return get[ServiceList](ctx, c, "/api/v1/services/"+url.PathEscape(name))
}

// Sessions returns the sessions that f chooses.
func (c *Client) Sessions(ctx context.Context, f SessionFilter) (SessionList, error) {
	return get[SessionList](ctx, c, withQuery("/api/v1/sessions", f.query()))
}

// withQuery appends a query to a path, if there is any.
func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Version returns what the broker is.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return get[Version](ctx, c, "/api/v1/version")
}

// Status returns how the broker is, with the summary of its services.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/api/v1/status?summary=true")
}

// Ready tells whether the broker takes clients, or with a service whether it can serve that.
func (c *Client) Ready(ctx context.Context, service string) (Readiness, error) {
	path := "/readyz"
	if service != "" {
		path += "/" + url.PathEscape(service)
	}
	return get[Readiness](ctx, c, path)
}

// get asks for one path and decodes the answer.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return call[T](ctx, c, http.MethodGet+" "+path, nil)
}

// call makes one request, "METHOD /path", with a body unless that is nil, and decodes the answer.
func call[T any](ctx context.Context, c *Client, what string, body any) (T, error) {
	var answer T
	limit := c.Timeout
	if limit == 0 {
		limit = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	base, transport, err := c.transport()
	if err != nil {
		return answer, err
	}
	defer transport.CloseIdleConnections()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return answer, err
		}
		content = bytes.NewReader(text)
	}
	method, path, _ := strings.Cut(what, " ")
	request, err := http.NewRequestWithContext(ctx, method, base+path, content)
	if err != nil {
		return answer, c.badAPI(err.Error())
	}
	if method != http.MethodGet {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.do(request, transport)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	return answer, c.decode(response, &answer)
}

// do sends a request, with credentials where they are to be sent. Whoever answers cannot send it on to somebody else.
func (c *Client) do(request *http.Request, transport *http.Transport) (*http.Response, error) {
	if c.Authorize != nil && request.URL.Scheme == "https" {
		header, err := c.Authorize()
		if err != nil {
			return nil, err
		}
		if header != "" {
			request.Header.Set("Authorization", header)
		}
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	return response, nil
}

// transport returns how to get to the broker, and the beginning of its addresses there.
func (c *Client) transport() (base string, transport *http.Transport, err error) {
	transport = &http.Transport{}
	if path, isSocket := strings.CutPrefix(c.API, "unix:"); isSocket {
		path = strings.TrimPrefix(path, "//")
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		return "http://localhost", transport, nil
	}
	u, err := url.Parse(c.API)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", nil, c.badAPI("it is no address of a broker")
	}
	if u.Scheme == "https" {
		transport.TLSClientConfig, err = c.trust()
		transport.ForceAttemptHTTP2 = true
	}
	return strings.TrimSuffix(c.API, "/"), transport, err
}

// trust reads whom to believe that he is the broker.
func (c *Client) trust() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA == "" {
		return config, nil
	}
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("the authorities of the broker's certificate: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate: it has to be a PEM file with that of the authority, or the broker's own", c.CA)
	}
	return config, nil
}

func (c *Client) badAPI(problem string) error {
	return fmt.Errorf("API %q: %s; write http://HOST:PORT, https://HOST:PORT or unix:PATH", c.API, problem)
}

// unreachable says what to do about an answer that did not come.
func (c *Client) unreachable(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // without the address, which is named anyway
	}
	todo := "start it with \"broker serve\", or say where it is: TNS_ADMIN=the folder of its cman.ora, or --api (BROKER_API) with the address of its console, or with unix:STATE_DIRECTORY/admin.sock where it has such a folder"
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, misnamed := errors.AsType[x509.HostnameError](err)
	switch {
	case unknown:
		todo = "name the file with the authority of its certificate with --ca or BROKER_API_CA"
	case misnamed:
		todo = "use the host name that its certificate has"
	case errors.Is(err, fs.ErrPermission):
		todo = "ask as the user that runs the broker, or name another address with --api"
	case errors.Is(err, context.DeadlineExceeded):
		todo = "it took too long to answer: try again, or look at its log"
	}
	return fmt.Errorf("%w at %s: %w; %s", ErrUnreachable, c.API, err, todo)
}

// decode reads an answer. Not being ready is an answer too, though not of status 200.
func (c *Client) decode(response *http.Response, answer any) error {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return c.unreachable(err)
	}
	_, readiness := answer.(*Readiness)
	if response.StatusCode == http.StatusOK || readiness && response.StatusCode == http.StatusServiceUnavailable {
		if err := json.Unmarshal(body, answer); err != nil {
			return c.stranger(response)
		}
		return nil
	}
	var problem errorBody
	if err := json.Unmarshal(body, &problem); err != nil || problem.Error == "" {
		return c.stranger(response)
	}
	return &APIError{Status: response.StatusCode, Message: problem.Error, Hint: problem.Hint}
}

// stranger says that whoever answers is no broker.
func (c *Client) stranger(response *http.Response) error {
	return fmt.Errorf("%w at %s: something else answers there (%s, %s); name the broker's console with --api",
		ErrUnreachable, c.API, response.Status, response.Header.Get("Content-Type"))
}
