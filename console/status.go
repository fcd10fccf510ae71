package console

import (
	"net/http"

	"servicebroker/servicetable"
)

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	snapshot, v := s.snapshot(), s.seen(r)
	st := v.status(snapshot)
	switch r.URL.Query().Get("summary") {
	case "", "false":
	case "true":
		st.Summary = summary(v.entries(snapshot))
	default:
		writeError(w, http.StatusBadRequest, "summary is neither true nor false", "ask for /api/v1/status?summary=true, or leave it out")
		return
	}
	s.write(w, http.StatusOK, st)
}

func (v seen) status(snapshot *servicetable.Snapshot) Status {
	id, reasons := v.identity(), v.unready()
	st := Status{
		Instance: id.Version.Instance, Version: id.Version.Version, Started: id.Started, Config: id.Config, Route: id.Route,
		Console: id.Console, REST: id.REST, Listening: id.Listening, Ready: len(reasons) == 0, Reasons: reasons, Notes: v.notes(), TableVersion: snapshot.Version(),
		Services: snapshot.ServiceCount(), Registrations: len(v.registrations(snapshot)), Sessions: len(v.sessions()),
		Release: id.Version.Release, Machine: id.Machine, PID: id.PID, Socket: id.Socket, LogLevel: id.LogLevel, LogDir: id.LogDir, TraceDir: id.TraceDir, TraceLevel: id.TraceLevel,
		AdminRequests: v.adminRequests.Load(), AdminOpen: int(v.adminOpen.Load()), LastReload: id.LastReload, Generation: id.Generation, Others: id.Others,
	}
	if !v.by.whole() {
		st.Services, st.LastReload, st.Others = len(v.entries(snapshot)), nil, Others{} // which may quote what is about others
	}
	if !id.Started.IsZero() {
		st.Uptime = v.now().Sub(id.Started).Milliseconds()
	}
	if st.Listening == nil {
		st.Listening = []Endpoint{}
	}
	return st
}

func summary(entries []servicetable.ServiceEntry) []ServiceSummary {
	services := make([]ServiceSummary, len(entries))
	for i, e := range entries {
		services[i] = ServiceSummary{Name: e.Name, Instances: make([]InstanceSummary, len(e.Instances))}
		for j, in := range e.Instances {
			services[i].Instances[j] = InstanceSummary{Name: in.Registration.Instance, Status: in.Status.String(), Handlers: len(in.Handlers)}
		}
	}
	return services
}
