package console

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// SessionFilter chooses sessions; an empty field chooses all.
type SessionFilter struct {
	Service  string // as registered, in any case
	Instance string // name or key, in any case
	Client   string // address, with or without port
	Upstream string // the broker's address and port as the instance sees them, or the port alone
}

// query is the form in which a filter travels.
func (f SessionFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"service": f.Service, "instance": f.Instance, "client": f.Client, "upstream": f.Upstream} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// String names the filter for people.
func (f SessionFilter) String() string {
	if f == (SessionFilter{}) {
		return "all"
	}
	return f.query().Encode()
}

// parseFilter is the reverse of query. A filter misspelt must not choose everything.
func parseFilter(q url.Values) (SessionFilter, error) {
	var f SessionFilter
	for name, values := range q {
		value := values[len(values)-1]
		switch name {
		case "service":
			f.Service = value
		case "instance":
			f.Instance = value
		case "client":
			f.Client = value
		case "upstream":
			f.Upstream = value
		default:
			return f, fmt.Errorf("there is no filter %q", name)
		}
	}
	return f, nil
}

func (f SessionFilter) matches(s *Session) bool {
	name, _, _ := strings.Cut(s.Instance, "@")
	return (f.Service == "" || strings.EqualFold(f.Service, s.Service)) &&
		(f.Instance == "" || strings.EqualFold(f.Instance, s.Instance) || strings.EqualFold(f.Instance, name)) &&
		addressMatches(f.Client, s.Client, false) && addressMatches(f.Upstream, s.Server.Local, true)
}

// addressMatches reports whether address, host:port, is the one wanted: all of it, or its host, or its port
// where a bare number means that.
func addressMatches(wanted, address string, byPort bool) bool {
	if wanted == "" || wanted == address {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return strings.EqualFold(wanted, host) || byPort && strings.TrimPrefix(wanted, ":") == port
}
