package broker

import "slices"

// metricPrefix begins the name of every metric of ours.
const metricPrefix = "servicebroker"

// metricKind is what a metric does, in Prometheus's words.
type metricKind string

const (
	counter   metricKind = "counter"   // only grows, until the broker is started anew
	gauge     metricKind = "gauge"     // as it is now
	histogram metricKind = "histogram" // of durations
)

// metric is one that /metrics shows.
type metric struct {
	name   string // after the prefix
	kind   metricKind
	labels []string
	help   string
	tally  bool // counted as it happens; else looked up when somebody asks
}

func (m *metric) fullName() string { return metricPrefix + "_" + m.name }

// metrics of the broker, all there are: what is not here cannot be shown.
func metricTable() []metric {
	return slices.Concat(connectMetrics(), limitMetrics(), tableMetrics(), brokerMetrics())
}

// connectMetrics are about connects and sessions.
func connectMetrics() []metric {
	return []metric{
		{name: "connects_total", kind: counter, tally: true, labels: []string{"service", "route", "outcome", "code"}, help: "Connects that have their answer. route is how far they came: relay, redirect, hold (waited for a service or for a turn, and got no further) or none; and, instead of relay, passthrough, source_route, next_hop or alias; outcome is served, refused, dropped (by a rule) or gone (the client left first); code is the ORA number of a refusal, else 0."},
		{name: "connect_duration_seconds", kind: histogram, tally: true, labels: []string{"route"}, help: "From a client's whole CONNECT to its answer, time on hold included."},
		{name: "decision_duration_seconds", kind: histogram, tally: true, help: "From a look at the table to the order of candidates, rules included, the last time for connects that were held."},
		{name: "dial_duration_seconds", kind: histogram, tally: true, labels: []string{"outcome"}, help: "All attempts of a relayed connect together: from the first dial until an instance had accepted (outcome accepted) or none did (failed)."},
		{name: "dial_attempts_total", kind: counter, tally: true, labels: []string{"outcome"}, help: "Attempts to have an instance accept a client, by outcome: accepted or failed. Failed ones that no client noticed are among them."},
		{name: "hold_duration_seconds", kind: histogram, tally: true, labels: []string{"outcome"}, help: "How long connects waited, for a service that was away or for their turn under a rate, by what became of them: served, refused or gone."},
		{name: "held_connects", kind: gauge, help: "Connects that wait now."},
		{name: "holds_total", kind: counter, help: "Connects that began to wait."},
		{name: "hold_ends_total", kind: counter, labels: []string{"outcome"}, help: "Connects that wait no more: connected, failed (refused after they were let go), expired, left (the client did) or stopped (the broker did)."},
		{name: "holds_refused_total", kind: counter, labels: []string{"cause"}, help: "Connects that were not held though they could have been: full (MAX_HELD, HOLD_SHARE or HOLD_CLIENT_SHARE) or dry_run (HOLD_DRY_RUN)."},
		{name: "sessions_open", kind: gauge, labels: []string{"service"}, help: "Relayed sessions that are open."},
		{name: "sessions_peak", kind: gauge, help: "Most relayed sessions that were open at once since the start."},
		{name: "sessions_total", kind: counter, help: "Relayed sessions that were begun."},
		{name: "session_bytes_total", kind: counter, labels: []string{"direction"}, help: "Bytes of relayed sessions, open and ended ones: to_server or to_client."},
		{name: "connections_open", kind: gauge, labels: []string{"phase"}, help: "Connections that are open: reading (no whole CONNECT yet), client (a connect or its session) or registration (a database's)."},
		{name: "rule_hits_total", kind: counter, labels: []string{"list", "rule", "action"}, help: "Connects that a rule decided, for ACT=log those it matched, by its number in the RULE_LIST. list is clients or administration. The first 200 of each."},
	}
}

// limitMetrics are about what may be at most.
func limitMetrics() []metric {
	labels := []string{"kind", "name"}
	return []metric{
		{name: "limit", kind: gauge, labels: []string{"parameter"}, help: "A limit of the whole broker that is in force, by the parameter that sets it."},
		{name: "arrivals_refused_total", kind: counter, labels: []string{"limit"}, help: "Connections that were refused as they arrived: by address (RATE_LIMIT of an ADDRESS), listeners (CONNECTION_RATE), source (CLIENT_RATE, IP_RATE_COUNT) or connections (MAX_ALL_CONNECTIONS)."},
		{name: "arrivals_waiting", kind: gauge, labels: []string{"limit"}, help: "Connections that wait for their turn under such a rate: address, listeners or source."},
		{name: "arrivals_unanswered_total", kind: counter, help: "Connections that were ended without an answer, since too many had to be refused at once."},
		{name: "rejected_input_total", kind: counter, labels: []string{"class"}, help: "What was refused or ended for what it is: silence (no whole CONNECT or TLS handshake in time), incomplete (ended within one), foreign (no Oracle Net), framing (packets that contradict themselves), proxy (a PROXY header that is wrong or missing), tls (a handshake that failed, records after it that are forged or begin another one, TLS where there is none, none where there is TLS), descriptor (a text that cannot be read or asks for nothing), command (administration that is not allowed or not known), registration (a registrant that may not, or is not understood), instance (an instance that answers what is no answer), dns (a question that is malformed, not allowed, or not ours) or api (an HTTP request with a client's mistake, wrong credentials among them)."},
		{name: "guessing_clients", kind: gauge, help: "Client addresses that asked for more names that nobody has than GUESS_LIMIT allows, and are answered as if nobody had any."},
		{name: "guess_episodes_total", kind: counter, help: "Times that a client address began to be answered so."},
		{name: "guesses_withheld_total", kind: counter, help: "Connects that were answered so, whether somebody had what they asked for or not."},
		{name: "silent_evicted_total", kind: counter, help: "Connections that said nothing and were ended to make room for others."},
		{name: "http_connections_ended_total", kind: counter, help: "Connections to page, API, metrics and admin socket that were ended since others wanted in, most of them without a request."},
		{name: "handshakes_waiting", kind: gauge, help: "TLS handshakes that wait for their turn: half of the processors work on them, by turns among client addresses."},
		{name: "shortages_total", kind: counter, labels: []string{"operation", "resource"}, help: "Times that something could not be had: operation is serve (a client was refused to keep the rest for databases and operators), accept or dial (the system said so); resource is descriptors, memory, ports and so on."},
		{name: "shortage", kind: gauge, labels: []string{"operation", "resource"}, help: "1 while there is such a shortage, and for 5 s after; broker status says what to do."},
		{name: "descriptors_for_clients", kind: gauge, help: "Connections of clients for which there are descriptors; one more is refused. 0: not known."},
		{name: "memory_needed_bytes", kind: gauge, help: "Memory that the broker cannot do without: what it holds, stacks, and what the runtime keeps about them."},
		{name: "memory_limit_bytes", kind: gauge, help: "Memory that the broker keeps to (MEMORY_LIMIT, the container's, or GOMEMLIMIT); 0 for no limit."},
		{name: "sources_blocked", kind: gauge, help: "Client addresses that are refused for a while (IP_RATE_BLOCK)."},
		{name: "source_blocks_total", kind: counter, help: "Times that a client address began to be refused for a while."},
		{name: "share_sessions", kind: gauge, labels: labels, help: "Sessions that count against a limit: kind is all, tenant, service or rule. The first 200 that have a limit."},
		{name: "share_sessions_limit", kind: gauge, labels: labels, help: "How many there may be; 0 is no limit."},
		{name: "share_connects_per_second_limit", kind: gauge, labels: labels, help: "How many connects a second are let through; 0 is no limit."},
		{name: "share_bytes_per_second_limit", kind: gauge, labels: labels, help: "How many bytes a second pass each way; 0 is no limit."},
		{name: "share_waiting_connects", kind: gauge, labels: labels, help: "Connects that wait for their turn under a rate."},
		{name: "share_refused_total", kind: counter, labels: append(labels[:2:2], "cause"), help: "Connects that a limit refused: for its rate or for its number of sessions."},
	}
}

// tableMetrics are about databases.
func tableMetrics() []metric {
	return []metric{
		{name: "table_version", kind: gauge, help: "Changes of the service table since the start."},
		{name: "services", kind: gauge, labels: []string{"status"}, help: "Registered services by the best status an instance has for them."},
		{name: "instances", kind: gauge, labels: []string{"status"}, help: "Registrations by the best status of their services."},
		{name: "handlers", kind: gauge, labels: []string{"state"}, help: "Handlers: ready, blocked (at their maximum load) or ejected (they do not answer)."},
		{name: "service_instances", kind: gauge, labels: []string{"service"}, help: "Instances that take connects for the service. 0 for one in READY_SERVICES that is away, and for a day for one that clients connected to and that went."},
		{name: "instance_sessions", kind: gauge, labels: []string{"database_instance"}, help: "Relayed sessions that are open at the instance."},
		{name: "instance_connects_total", kind: counter, labels: []string{"database_instance", "outcome"}, help: "Connects at the instance: established (it accepted, or the client was redirected there) or refused by it."},
		{name: "oldest_load_report_age_seconds", kind: gauge, help: "Age of the oldest load report among registered instances. Databases by themselves may report their load at registration alone."},
		{name: "registration_events_total", kind: counter, tally: true, labels: []string{"event"}, help: "What came of databases' registrations: registered, updated, died, refused (not allowed to), undecodable (a message that was not understood) or left_out (a handler at an address that cannot be its own)."},
		{name: "quarantined_services", kind: gauge, help: "Services at an instance that wait for an operator's approval."},
		{name: "intents", kind: gauge, labels: []string{"kind"}, help: "What operators want now: drain, weight, hold, maintenance, approve or reject."},
		{name: "probes_total", kind: counter, tally: true, labels: []string{"depth", "outcome"}, help: "Probes of handlers: light (TNS ping) or deep (a CONNECT), answered or failed."},
		{name: "probe_duration_seconds", kind: histogram, tally: true, help: "How long answered probes took."},
		{name: "stored_instances", kind: gauge, help: "Registrations that are known from the table on disk alone: their databases have not registered since the start."},
		{name: "mirror_lag_versions", kind: gauge, labels: []string{"mirror"}, help: "Changes of the service table that a copy of it elsewhere (dns, dns-update, consul, disk) does not have yet; 0 where another broker keeps the copy."},
		{name: "mirror_failures", kind: gauge, labels: []string{"mirror"}, help: "How often in a row a copy could not be brought up to date; 0 if the last time went well."},
		{name: "mirror_last_success_timestamp_seconds", kind: gauge, labels: []string{"mirror"}, help: "When a copy was last made equal to the table or found to be, seconds since 1970; 0: not yet. Absent where another broker keeps the copy."},
		{name: "mirror_syncs_total", kind: counter, labels: []string{"mirror", "outcome"}, help: "Times a copy was brought up to date: good, failed, or standby (another broker keeps it)."},
		{name: "dns_answers_total", kind: counter, labels: []string{"rcode"}, help: "Questions that were answered at DNS_ADDRESS, by the answer's code: noerror, nxdomain (no such name), refused (another zone, or a transfer by somebody who may not) and so on."},
		{name: "events_total", kind: counter, labels: []string{"kind"}, help: "Events in the journal by kind, such as moved, ejected, restored, hold_began, sessions_lost: what broker events shows."},
	}
}

// brokerMetrics are about the broker itself.
func brokerMetrics() []metric {
	return []metric{
		{name: "build_info", kind: gauge, labels: []string{"name", "version", "commit", "go"}, help: "1, with the instance's name and which build it is."},
		{name: "start_time_seconds", kind: gauge, help: "When the broker was started, seconds since 1970."},
		{name: "brokers_live", kind: gauge, help: "Brokers that are alive, this one and its peers."},
		{name: "peer_up", kind: gauge, labels: []string{"peer"}, help: "1 if another broker answers, by the address of its API."},
		{name: "peer_table_differs", kind: gauge, labels: []string{"peer"}, help: "1 while the table of a peer that is alive differs from this one's; broker peers says in what."},
		{name: "peer_clock_offset_seconds", kind: gauge, labels: []string{"peer"}, help: "How much the clock of a peer is ahead; absent before its first answer."},
		{name: "peer_questions_total", kind: counter, labels: []string{"outcome"}, help: "Connects that nobody here serves, by what came of asking the peers: found, none, unanswered, kept (the answer of a moment ago was used) or limited (too many asked)."},
		{name: "ready", kind: gauge, help: "1 if /readyz says yes."},
		{name: "config_info", kind: gauge, labels: []string{"file", "hash"}, help: "1, with the configuration file in force and a hash of all that was read for it; both are empty where the built-in defaults are."},
		{name: "generation", kind: gauge, help: "Number of this process among those that followed each other by upgrades, 1 for the first."},
		{name: "generations_alive", kind: gauge, help: "Processes of this broker that live: 1, and 2 while one takes over or an older one keeps what cannot be moved."},
		{name: "upgrades_total", kind: counter, labels: []string{"outcome"}, help: "Upgrades since the first generation: done, and of this generation failed (the successor did not take over, and this one went on)."},
		{name: "config_reloads_total", kind: counter, labels: []string{"outcome"}, help: "Reloads: good, or bad (the file had errors, and nothing was changed)."},
		{name: "config_last_reload_successful", kind: gauge, help: "1 if the last reload was good, or there was none; 0 if the file has errors and the configuration before it is still in force."},
		{name: "config_last_reload_timestamp_seconds", kind: gauge, help: "When the last reload was, good or bad, or the start; seconds since 1970."},
		{name: "certificate_expiry_timestamp_seconds", kind: gauge, labels: []string{"certificate", "subject", "kind"}, help: "Until when a certificate in use is good, seconds since 1970. certificate is its file or the name it was issued for; kind is own (shown to the other side) or authority (by which the other side's is judged). The first 200."},
		{name: "wrong_credentials_total", kind: counter, help: "Requests at REST_ADDRESS with credentials that are wrong: a name, password or token that is not known. Who has to wait for too many of them is not counted again."},
		{name: "log_lines_written_total", kind: counter, labels: []string{"file"}, help: "Lines written to the files of LOG_DIRECTORY: listener or instance."},
		{name: "log_lines_dropped_total", kind: counter, labels: []string{"file"}, help: "Lines for the files of LOG_DIRECTORY that found no room because the volume was too slow or away."},
		{name: "goroutines", kind: gauge, help: "Goroutines of this process: what grows while connections do not is a leak."},
		{name: "journal_events", kind: gauge, help: "Events that are kept."},
		{name: "journal_explanations", kind: gauge, help: "Explanations of connects that are kept."},
	}
}
