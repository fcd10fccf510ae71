package packettrace

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"servicebroker/logfile"
)

// trace is one that is active.
type trace struct {
	Status
	owner   *Traces
	file    logfile.File
	stop    context.CancelFunc
	endless bool         // its files go round
	room    atomic.Int64 // bytes that may still be written
	packets atomic.Uint64
	over    atomic.Pointer[string] // why it is to end

	mu       sync.Mutex
	sessions map[uint64]*session
	crowded  bool // some session is not followed
}

// title is the first line of a trace.
func (one *trace) title() string {
	what, shown := "clients "+one.Order.Clients.String(), "headers"
	switch {
	case one.Order.Session != 0:
		what = fmt.Sprintf("session %d", one.Order.Session)
	case one.Order.Clients == Everybody:
		what = "all clients"
	}
	if one.Order.Data {
		shown = "headers and data"
	}
	if one.Bytes > 0 {
		return fmt.Sprintf("# goes on in process %d", os.Getpid())
	}
	return fmt.Sprintf("# packets of %s from %s to %s at most, %s; secrets are hidden", what, one.Began.Local().Format(timeForm), one.Until.Local().Format(timeForm), shown)
}

// write writes one entry, or ends the trace if there is no room.
func (one *trace) write(text string) {
	if one.over.Load() != nil {
		return
	}
	if one.room.Add(-int64(len(text))-1) < 0 && !one.endless {
		one.end(reasonFileFull)
		return
	}
	one.packets.Add(1)
	one.file.Line(text)
}

// end lets the trace end soon.
func (one *trace) end(why string) {
	if one.over.CompareAndSwap(nil, &why) {
		one.owner.poke()
	}
}

func (one *trace) status() Status {
	s := one.Status
	stats := one.file.Stats()
	s.Packets += max(one.packets.Load(), 1) - 1 // the title is none
	s.Lost += stats.Lost
	s.Bytes += stats.Bytes
	return s
}

func (one *trace) follow(s Session) *session {
	one.mu.Lock()
	defer one.mu.Unlock()
	followed := one.sessions[s.ID]
	switch {
	case followed != nil:
	case len(one.sessions) < maxFollowed:
		followed = newSession(one.write, s, one.Order.Data)
		one.sessions[s.ID] = followed
	case !one.crowded:
		one.crowded = true
		one.file.Line(fmt.Sprintf("# there are more than %d sessions at a time: of some only the connect is here", maxFollowed))
	}
	return followed
}
