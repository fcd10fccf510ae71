package consul

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// authorized adds the token to each request.
type authorized struct {
	http.RoundTripper
	file    string
	reading atomic.Int64 // bytes of answers

	mu    sync.Mutex // guards what follows
	token string
	state os.FileInfo // of the file as it was read
}

func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := a.current()
	if err != nil {
		return nil, err
	}
	if token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("X-Consul-Token", token)
	}
	answer, err := a.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = &bounded{ReadCloser: answer.Body, all: &a.reading}
	}
	return answer, err
}

// current returns the token, from the file if that has changed; the last one while the file is being replaced.
func (a *authorized) current() (string, error) {
	if a.file == "" {
		return "", nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	state, err := os.Stat(a.file)
	if err == nil && a.state != nil && os.SameFile(state, a.state) && state.ModTime().Equal(a.state.ModTime()) && state.Size() == a.state.Size() {
		return a.token, nil
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(a.file)
	}
	if token := strings.TrimSpace(string(content)); err == nil && token != "" {
		a.token, a.state = token, state
	}
	if a.token == "" {
		return "", fmt.Errorf("CONSUL_TOKEN_FILE=%s holds no token: %w", a.file, cmp.Or(err, errors.New("it is empty")))
	}
	return a.token, nil
}
