package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"servicebroker/servicetable"
)

// putLoad takes fresh figures of one instance; what the body leaves out stays as it was.
func (s *Server) putLoad(w http.ResponseWriter, r *http.Request) {
	if !offered(w, r, s.SetLoad != nil) {
		return
	}
	report, err := readBody[LoadReport](w, r, maxLoadBody)
	*changeOf(r) = change{about: "load of " + report.Instance, quiet: true}
	if err == nil {
		report, err = s.resolveLoad(r, report)
	}
	if err == nil {
		err = s.SetLoad(report)
	}
	if err != nil {
		writeProblem(w, err, "GET /api/v1/services lists instances by key")
		return
	}
	s.write(w, http.StatusOK, report)
}

// resolveLoad names instance and services of a report as they are registered. What is the instance's as a whole is for those
// alone who have to do with all that it offers.
func (s *Server) resolveLoad(r *http.Request, report LoadReport) (LoadReport, error) {
	v, snapshot := s.seen(r), s.snapshot()
	report, err := report.resolve(v.registrations(snapshot))
	if err == nil && (report.Load != nil || report.Max != nil || report.NodeLoad != nil || report.NodeMax != nil) && !v.ownsInstance(snapshot, report.Instance) {
		err = v.by.outside("some of what " + report.Instance + " offers")
	}
	return report, err
}

// resolve returns the report with instance and services named as they are registered.
func (l LoadReport) resolve(all []*servicetable.Registration) (LoadReport, error) {
	switch {
	case l.Instance == "":
		return l, &APIError{http.StatusBadRequest, "the report names no instance", `give "instance" as its key, for example "orders1@db7"`}
	case len(l.Services) == 0 && l.Load == nil && l.Max == nil && l.NodeLoad == nil && l.NodeMax == nil:
		return l, &APIError{http.StatusBadRequest, "the report has no figures", "give at least one of services, load, max, node_load, node_max"}
	}
	r, err := namedInstance(l.Instance, all)
	if err != nil {
		return l, err
	}
	services := make(map[string]ServiceLoad, len(l.Services))
	for name, figures := range l.Services {
		if figures.Goodness == nil && figures.Delta == nil {
			return l, &APIError{http.StatusBadRequest, fmt.Sprintf("the report has no figures for the service %q", name), "give goodness or delta, or leave the service out"}
		}
		registered, err := namedService(name, r)
		if err != nil {
			return l, err
		}
		services[registered] = figures
	}
	l.Instance, l.Services = r.Key(), services
	return l, nil
}

// namedInstance finds a registration by its key, or by its instance name where only one has that.
func namedInstance(name string, all []*servicetable.Registration) (*servicetable.Registration, error) {
	var byName []*servicetable.Registration
	var keys, names []string
	for _, r := range all {
		if strings.EqualFold(r.Key(), name) {
			return r, nil
		}
		if strings.EqualFold(r.Instance, name) {
			byName = append(byName, r)
		}
		keys, names = append(keys, r.Key()), append(names, r.Instance)
	}
	switch len(byName) {
	case 1:
		return byName[0], nil
	case 0:
		if !strings.Contains(name, "@") {
			keys = slices.Compact(slices.Sorted(slices.Values(names)))
		}
		return nil, &APIError{http.StatusNotFound, fmt.Sprintf("no instance %q is registered", name), suggestion(name, keys) + "GET /api/v1/services lists instances by key"}
	}
	return nil, &APIError{http.StatusConflict, fmt.Sprintf("%d instances are called %q", len(byName), name), "name one by its key: " + byName[0].Key() + " or " + byName[1].Key()}
}

// namedService finds the name of a service as r registers it, by that or by its first label where only one has that.
func namedService(name string, r *servicetable.Registration) (string, error) {
	var names, short []string
	for i := range r.Services {
		registered := r.Services[i].Name
		if strings.EqualFold(registered, name) {
			return registered, nil
		}
		if label, _, _ := strings.Cut(registered, "."); strings.EqualFold(label, name) {
			short = append(short, registered)
		}
		names = append(names, registered)
	}
	if len(short) == 1 {
		return short[0], nil
	}
	return "", &APIError{http.StatusNotFound, fmt.Sprintf("the instance %s offers no service %q", r.Key(), name), suggestion(name, names) + "GET /api/v1/services lists what it offers"}
}
