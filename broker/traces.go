package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/packettrace"
	"servicebroker/relay"
	"servicebroker/tns"
)

// wireTraces lets operators trace clients.
func (b *Broker) wireTraces() {
	b.traces.Files = b.traceFiles
	b.traces.Changed = b.relay.Reinspect
	b.relay.Seen = func(to relay.Destination) func(bool, []byte) {
		if !b.traces.Active() {
			return nil
		}
		return b.traces.Dialogue(to.Client, "broker for "+to.Client.String(), to.Address.HostPort())
	}
	b.relay.Inspect = b.inspect
	b.reporters.sessions = append(b.reporters.sessions, func(s *relay.SessionInfo, _ error) { b.traces.Over(s.ID) })
}

// trace lets those see the packets of a client's connection who want to.
func (b *Broker) trace(conn *tns.Conn) {
	if b.traces.Active() {
		client := relay.AddrPort(conn.NetConn().RemoteAddr())
		conn.Seen = b.traces.Dialogue(client, "broker", client.String())
	}
}

// inspect returns who looks at a session.
func (b *Broker) inspect(s relay.SessionInfo, version uint16) func(toClient bool, bytes []byte) {
	if !b.traces.Active() {
		return nil
	}
	client, _ := netip.ParseAddrPort(s.Client)
	return b.traces.Session(packettrace.Session{ID: s.ID, Client: client, Server: s.Server, Version: version, Started: s.Started})
}

// traceFiles says where traces go: into TRACE_DIRECTORY, else where logs or state are.
func (b *Broker) traceFiles() packettrace.Files {
	c := b.settings().config
	files := packettrace.Files{
		Directory: cmp.Or(c.TraceDirectory, c.LogDirectory), Size: c.TraceFileSize, Count: c.TraceFileNum,
		Prefix: strings.TrimSuffix(instanceLogName(c.Name), ".log"),
	}
	if files.Directory == "" && b.state != nil {
		files.Directory = b.state.path
	}
	return files
}

// startTrace begins what an operator wants traced.
func (b *Broker) startTrace(r console.TraceRequest) (console.Trace, error) {
	order := packettrace.Order{For: time.Duration(r.Seconds * float64(time.Second)), Data: r.Data}
	if r.Client != "" {
		networks, err := parseClients(r.Client)
		if err != nil {
			return console.Trace{}, err
		}
		order.Clients = networks
	}
	if r.Session != "" {
		id, err := strconv.ParseUint(r.Session, 10, 64)
		if err != nil || b.relay.CountSessions(func(s *relay.SessionInfo) bool { return s.ID == id }) == 0 {
			return console.Trace{}, fmt.Errorf("%w: session %s", console.ErrNotFound, r.Session)
		}
		order.Session = id
	}
	status, err := b.traces.Start(order)
	if err != nil {
		return console.Trace{}, err
	}
	view := traceView(status)
	b.log.Info("packet trace begun", "id", view.ID, "client", view.Client, "session", view.Session, "data", view.Data, "until", view.Until.Format(time.RFC3339), "file", view.File)
	return view, nil
}

// parseClients reads an address or a network; * is everybody.
func parseClients(text string) (netip.Prefix, error) {
	if text == "*" {
		return packettrace.Everybody, nil
	}
	if a, err := netip.ParseAddr(descriptor.BareHost(text)); err == nil {
		return netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return network, fmt.Errorf("%q is neither an address nor a network: write 192.0.2.7, 192.0.2.0/24 or *", text)
	}
	return network.Masked(), nil
}

// stopTrace ends one.
func (b *Broker) stopTrace(id uint64) (console.Trace, error) {
	status, err := b.traces.Stop(id)
	if errors.Is(err, packettrace.ErrUnknown) {
		err = fmt.Errorf("%w: %w", console.ErrNotFound, err)
	}
	return traceView(status), err
}

// traceViews are all traces in the words of the API.
func (b *Broker) traceViews() []console.Trace {
	var all []console.Trace
	for _, s := range b.traces.List() {
		all = append(all, traceView(s))
	}
	return all
}

// traceLevel is what the status says of traces of every client.
func (b *Broker) traceLevel() string {
	level := ""
	for _, s := range b.traces.List() {
		if s.Ended == "" && s.Order.Clients == packettrace.Everybody {
			if s.Order.Data {
				return "support"
			}
			level = "user"
		}
	}
	return level
}

func traceView(s packettrace.Status) console.Trace {
	v := console.Trace{
		ID: strconv.FormatUint(s.ID, 10), Data: s.Order.Data, File: s.File, Began: s.Began, Until: s.Until, Ended: s.Ended,
		Packets: s.Packets, Bytes: s.Bytes, Lost: s.Lost,
	}
	switch {
	case s.Order.Clients == packettrace.Everybody:
		v.Client = "*"
	case s.Order.Clients.IsValid() && s.Order.Clients.IsSingleIP():
		v.Client = s.Order.Clients.Addr().String()
	case s.Order.Clients.IsValid():
		v.Client = s.Order.Clients.String()
	}
	if s.Order.Session != 0 {
		v.Session = strconv.FormatUint(s.Order.Session, 10)
	}
	return v
}

// setLogLevel puts a word of LOG_LEVEL in force until the next reload.
func (b *Broker) setLogLevel(word string) (console.LogLevel, error) {
	known := logLevelWord(word)
	if known == "" {
		return console.LogLevel{}, unknownWord(word, "off", "user", "admin", "support")
	}
	before := b.levelWord()
	b.setLevel(known)
	b.log.Info("log level changed until the next reload", "from", before, "to", b.levelWord())
	return console.LogLevel{Level: b.levelWord()}, nil
}

// tracesPart lets a successor go on with traces.
func (b *Broker) tracesPart() part {
	return part{
		name: "traces",
		give: func() (any, []*os.File, error) { return b.traces.Pass(), nil, nil },
		take: func(state json.RawMessage, _ []*os.File) error {
			var given packettrace.Passed
			if err := json.Unmarshal(state, &given); err != nil {
				return err
			}
			b.traces.GoOn(given)
			return nil
		},
	}
}

// leaveTraces ends traces that were taken over after all in vain.
func (b *Broker) leaveTraces() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.traces.Leave("the process before goes on")
	b.traces.Run(ctx)
}
