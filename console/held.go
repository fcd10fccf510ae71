package console

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// Bounds of what one answer lists.
const (
	defaultListed = 1000
	maxListed     = 100_000
)

// getHeld answers with the connects that wait: all counted, and some of them, those that wait longest.
func (s *Server) getHeld(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.Held != nil) {
		return
	}
	limit, service := defaultListed, ""
	err := readQuery(r.URL.Query(), map[string]func(string) error{"limit": numberInto(&limit, maxListed), "service": textInto(&service)})
	if err != nil {
		writeProblem(w, err, "parameters are limit and service")
		return
	}
	s.write(w, http.StatusOK, heldList(s.seen(r).held(), service, limit))
}

// heldList sums up those that wait for a service, or for any where it is empty.
func heldList(all []Held, service string, limit int) HeldList {
	list := HeldList{Services: []HeldService{}, Held: []Held{}}
	at := map[string]int{} // index in list.Services by service
	for _, h := range all {
		if service != "" && !strings.EqualFold(service, h.Service) {
			continue
		}
		list.Held = append(list.Held, h)
		name := strings.ToLower(h.Service)
		i, known := at[name]
		if !known {
			i = len(list.Services)
			at[name] = i
			list.Services = append(list.Services, HeldService{Service: h.Service, Oldest: h.Since})
		}
		one := &list.Services[i]
		one.Waiting++
		if h.Since.Before(one.Oldest) {
			one.Oldest = h.Since
		}
	}
	list.Total = len(list.Held)
	slices.SortFunc(list.Services, func(a, b HeldService) int { return cmp.Compare(a.Service, b.Service) })
	slices.SortStableFunc(list.Held, func(a, b Held) int { return a.Since.Compare(b.Since) })
	list.Held = list.Held[:min(limit, len(list.Held))]
	return list
}
