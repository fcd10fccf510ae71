package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"servicebroker/limits"
	"servicebroker/resources"
)

// maxLimitLabels bounds the rules, services and tenants whose limits are shown.
const maxLimitLabels = 200

// maxCertificateLabels bounds the certificates: a system's authorities are many.
const maxCertificateLabels = 200

// sampleLimits tells of all that has a limit how much of it is taken.
func (s *sampler) sampleLimits(out sink) {
	c := s.settings().config
	for parameter, most := range map[string]int{
		"MAX_HELD": c.MaxHeld, "MAX_REG_CONNECTIONS": s.config.MaxRegistrations, "MAX_SESSIONS": c.Limits.MaxSessions, "MAX_ALL_CONNECTIONS": c.Limits.MaxConnections,
	} {
		if most > 0 {
			out.put("limit", float64(most), parameter)
		}
	}
	shown := 0
	for _, share := range s.limiting.shares.All() {
		limit := share.Limit()
		if limit.Rate <= 0 && limit.Sessions <= 0 && limit.Bandwidth <= 0 {
			continue
		}
		if shown++; shown > maxLimitLabels {
			return
		}
		kind, name := string(share.Kind), shareLabel(share)
		rate, sessions := share.Rate.Counts(), share.Sessions.Counts()
		out.put("share_sessions", float64(sessions.Now), kind, name)
		out.put("share_sessions_limit", float64(limit.Sessions), kind, name)
		out.put("share_connects_per_second_limit", limit.Rate, kind, name)
		out.put("share_bytes_per_second_limit", float64(limit.Bandwidth), kind, name)
		out.put("share_waiting_connects", float64(rate.Waiting), kind, name)
		out.put("share_refused_total", float64(rate.Refused), kind, name, "rate")
		out.put("share_refused_total", float64(sessions.Refused), kind, name, "sessions")
	}
}

// sampleArrivals tells of connections that are limited before they have said anything.
func (s *sampler) sampleArrivals(out sink) {
	l := &s.limiting
	var address limits.RateCounts
	for _, rate := range l.listeners.own {
		c := rate.Counts()
		address.Refused, address.Waiting = address.Refused+c.Refused, address.Waiting+c.Waiting
	}
	together, sources := l.listeners.together.Counts(), l.sources.Counts()
	_, evicted := l.silent.Counts()
	out.put("arrivals_refused_total", float64(address.Refused), "address")
	out.put("arrivals_refused_total", float64(together.Refused), "listeners")
	out.put("arrivals_refused_total", float64(sources.Refused+sources.Rates.Refused), "source")
	out.put("arrivals_refused_total", float64(l.connections.Counts().Refused), "connections")
	out.put("arrivals_waiting", float64(address.Waiting), "address")
	out.put("arrivals_waiting", float64(together.Waiting), "listeners")
	out.put("arrivals_waiting", float64(sources.Rates.Waiting), "source")
	out.put("arrivals_unanswered_total", float64(l.closed.Load()))
	out.put("silent_evicted_total", float64(evicted))
	out.put("sources_blocked", float64(sources.BlockedNow))
	out.put("source_blocks_total", float64(sources.Blocks))
}

// shortagesShown are those that are there from the start on, at 0.
var shortagesShown = [...]shortageOf{{"serve", "descriptors"}, {"serve", "memory"}, {"accept", "descriptors"}, {"dial", "descriptors"}, {"dial", "ports"}}

// sampleRoom tells what there is too little of.
func (s *sampler) sampleRoom(out sink) {
	o := &s.overload
	out.put("descriptors_for_clients", float64(o.descriptors.clients))
	out.put("memory_needed_bytes", float64(resources.MemoryInUse()))
	out.put("memory_limit_bytes", float64(o.memory.limit.Load()))
	handshakes, _ := s.limiting.handshakes.Waiting()
	out.put("handshakes_waiting", float64(handshakes))
	var ended uint64
	for i := range o.http {
		ended += o.http[i].endedSoFar()
	}
	out.put("http_connections_ended_total", float64(ended))
	for _, one := range o.shortages.all() {
		out.put("shortage", 1, one.operation, one.resource)
	}
	counts := o.shortages.counts()
	for _, of := range shortagesShown {
		out.put("shortage", 0, of.operation, of.resource) // unless it was put
		counts[of] += 0
	}
	for of, n := range counts {
		out.put("shortages_total", float64(n), of.operation, of.resource)
	}
}

// shareLabel names what is limited: services as elsewhere, rules and tenants as written.
func shareLabel(s *limits.Share) string {
	if s.Kind == limits.OfService {
		return serviceLabel(s.Name)
	}
	return s.Name[:min(len(s.Name), maxLabelBytes)]
}

// sampleCertificates tells until when certificates can be used.
func (s *sampler) sampleCertificates(out sink) {
	all := s.Certificates() // own ones first
	for _, e := range all[:min(len(all), maxCertificateLabels)] {
		out.put("certificate_expiry_timestamp_seconds", seconds(e.NotAfter), e.From, e.Subject, choose(e.Trusted, "authority", "own"))
	}
}

// sampleLogins tells how many were not let in.
func (s *sampler) sampleLogins(out sink) {
	var wrong uint64 // without REST_ADDRESS there are none to be wrong
	if s.rest.logins != nil {
		wrong = s.rest.logins.Wrong()
	}
	out.put("wrong_credentials_total", float64(wrong))
}

// sampleLogs tells what became of lines for the files of LOG_DIRECTORY.
func (s *sampler) sampleLogs(out sink) {
	files := s.logs.files.Load()
	if files == nil {
		return
	}
	listener, instance := files.listener.Stats(), files.instance.Stats()
	out.put("log_lines_written_total", float64(listener.Written), "listener")
	out.put("log_lines_written_total", float64(instance.Written), "instance")
	out.put("log_lines_dropped_total", float64(listener.Lost), "listener")
	out.put("log_lines_dropped_total", float64(instance.Lost), "instance")
}

// sampleConfig tells by which files the broker runs, and how the last reload went.
func (s *sampler) sampleConfig(out sink) {
	c := s.settings().config
	out.put("config_info", 1, c.File, c.read.digest())
	var good, bad uint64
	last, at := true, s.started
	if r := s.files.lastReload(); r != nil {
		good, bad, last, at = r.Good, r.Bad, r.OK, r.At
	}
	out.put("config_reloads_total", float64(good), "good")
	out.put("config_reloads_total", float64(bad), "bad")
	out.put("config_last_reload_successful", map[bool]float64{true: 1}[last])
	out.put("config_last_reload_timestamp_seconds", seconds(at))
}

// digest is a short text that is the same for the same files with the same texts.
func (c contents) digest() string {
	if len(c) == 0 {
		return ""
	}
	var all strings.Builder
	for _, path := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&all, "%s\x00%x\n", path, c[path])
	}
	sum := sha256.Sum256([]byte(all.String()))
	return hex.EncodeToString(sum[:6])
}
