package console

import (
	"embed"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"servicebroker/servicetable"
)

//go:embed do.html page.html ref.html refs.html pieces.html style.css
var assets embed.FS

// pageLimit is how many services one page shows; the filter finds the others.
const pageLimit = 100

// refreshSeconds is how often the page loads itself anew.
const refreshSeconds = 5

// page is what the template shows.
type page struct {
	Status
	pageNews

	Now     string
	UpFor   string
	Refresh int
	Finding bool // somebody types a filter: the page must not load itself anew under their hands
	Filter  string
	Shown   []pageService
	Matched int    // services that the filter lets through
	Connect string // host:port where clients find the broker, "" if it does not listen
	Target  string // the same as another host would name it

	Addresses []string // on which the broker listens
	Who       string   // who looks, and from where; "" for anyone
	Operates  bool     // he can change things from here
}

// pageService is one service as the page shows it.
type pageService struct {
	Service
	Instances []pageInstance
	Ready     int    // instances that take new connects, as far as they say
	Connect   string // Easy Connect text
}

// pageInstance is one instance; fields of the same name stand before those of the API.
type pageInstance struct {
	Instance
	LoadGauge, NodeGauge gauge

	Sessions  int    // that this broker relays there
	Age       string // of the load report
	Since     string // when it registered
	MarkTexts []pageMark
	Handlers  []pageHandler
}

type pageHandler struct {
	Handler
	MarkTexts []pageMark
}

type pageMark struct{ Kind, Cause, When string }

// gauge is a load with its maximum as a bar.
type gauge struct {
	Value, Max uint32
	Busy, Full uint32 // from where the bar changes its colour
}

func newGauge(value, most uint32) gauge {
	return gauge{value, most, uint32(uint64(most) * 70 / 100), uint32(uint64(most) * 90 / 100)}
}

// servePage returns the handler of the page; the template is parsed once.
func (s *Server) servePage() http.HandlerFunc {
	t := pageTemplate("page.html")
	return func(w http.ResponseWriter, r *http.Request) { render(w, t, http.StatusOK, s.page(r)) }
}

func serveStyle(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, assets, "style.css")
}

func (s *Server) page(r *http.Request) page {
	now := s.now()
	snapshot, v := s.snapshot(), s.seen(r)
	p := page{
		Status: v.status(snapshot), pageNews: v.news(now), Now: now.UTC().Format("2006-01-02 15:04:05 MST"), Refresh: refreshSeconds,
		Finding: r.URL.Query().Has("find"), Filter: strings.TrimSpace(r.URL.Query().Get("q")),
	}
	if by := v.by; !by.anyone() {
		p.Who, p.Operates = by.String()+", "+string(by.Role), by.Role == Operator
		if !by.whole() {
			p.Who += " of " + strings.Join(by.Services, ", ")
		}
	}
	if !p.Started.IsZero() {
		p.UpFor = span(now.Sub(p.Started))
	}
	for _, e := range p.Listening {
		p.Addresses = append(p.Addresses, e.Protocol+" "+net.JoinHostPort(e.Host, strconv.Itoa(e.Port)))
	}
	p.Connect = connectAddress(p.Listening, r.Host)
	p.Target = seenFromOutside(p.Connect)
	var shown []servicetable.ServiceEntry
	for _, e := range v.entries(snapshot) {
		if !strings.Contains(strings.ToLower(e.Name), strings.ToLower(p.Filter)) {
			continue
		}
		if p.Matched++; len(shown) < pageLimit {
			shown = append(shown, e)
		}
	}
	sessions := map[string]int{} // by instance key and service
	for _, one := range v.sessions() {
		sessions[one.Instance+"/"+strings.ToLower(one.Service)]++
	}
	for _, service := range v.serviceList(snapshot, shown).Services {
		p.Shown = append(p.Shown, newPageService(service, p.Connect, sessions, now))
	}
	return p
}

func newPageService(service Service, connect string, sessions map[string]int, now time.Time) pageService {
	p := pageService{Service: service}
	if connect != "" {
		p.Connect = connect + "/" + service.Name
	}
	for _, in := range service.Instances {
		pi := newPageInstance(in, now)
		pi.Sessions = sessions[in.Key+"/"+strings.ToLower(service.Name)]
		p.Instances = append(p.Instances, pi)
		if in.Status == servicetable.Ready.String() {
			p.Ready++
		}
	}
	return p
}

func newPageInstance(in Instance, now time.Time) pageInstance {
	p := pageInstance{
		Instance: in, LoadGauge: newGauge(in.Load, in.Max), NodeGauge: newGauge(in.NodeLoad, in.NodeMax),
		Age: "never", Since: "static", MarkTexts: pageMarks(in.Marks, now),
	}
	if in.LoadAge != nil {
		p.Age = span(time.Duration(*in.LoadAge)*time.Millisecond) + " ago"
	}
	if in.RegisteredAt != nil {
		p.Since = span(now.Sub(*in.RegisteredAt)) + " ago"
	}
	for _, h := range in.Handlers {
		p.Handlers = append(p.Handlers, pageHandler{h, pageMarks(h.Marks, now)})
	}
	return p
}

// pageMarks words since when and for how long each mark holds.
func pageMarks(list []Mark, now time.Time) []pageMark {
	var marks []pageMark
	for _, m := range list {
		when := "since " + span(now.Sub(m.Since))
		if m.Until != nil {
			when += ", for another " + span(m.Until.Sub(now))
		}
		marks = append(marks, pageMark{m.Mark, m.Cause, when})
	}
	return marks
}

// connectAddress is where clients find the broker: the first plain address it listens on, by the name under which the
// page itself was found where the address names no host.
func connectAddress(listening []Endpoint, asked string) string {
	for _, e := range listening {
		if !strings.EqualFold(e.Protocol, "tcp") {
			continue
		}
		host := e.Host
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = asked
			if h, _, err := net.SplitHostPort(asked); err == nil {
				host = h
			}
		}
		return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(e.Port))
	}
	return ""
}

// seenFromOutside replaces a host name that means something else on every host.
func seenFromOutside(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "broker-host:1521"
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return net.JoinHostPort("broker-host", port)
	}
	return address
}
