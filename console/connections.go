package console

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ConnectionFilter chooses sessions as cmctl's `show connections` and `close connections` do; an empty field chooses all.
type ConnectionFilter struct {
	State  string        // idle, connecting, established or terminated
	Longer time.Duration // idle for longer, where State is idle; else begun longer ago
	From   string        // client: address, network or machine
	To     string        // instance: its address, host or name
	For    string        // service
	Using  string        // gateway; there is only 0
}

// idleFrom is how long a session is silent before it is called idle.
const idleFrom = time.Second

// ParseConnectionFilter reads what follows `connections`: pairs of in, gt, from, to, for and using with their values. The words
// may be in any case; a time is hh:mm:ss, mm:ss or seconds, and may be written gt[1:00].
func ParseConnectionFilter(words []string) (ConnectionFilter, error) {
	var f ConnectionFilter
	for i := 0; i < len(words); i++ {
		name, value := strings.ToLower(words[i]), ""
		if inner, bracket := strings.CutPrefix(name, "gt["); bracket {
			name, value = "gt", strings.TrimSuffix(inner, "]")
		} else {
			if i++; i == len(words) {
				return f, fmt.Errorf("%q is the last word: a value has to follow", words[i-1])
			}
			value = words[i]
		}
		if err := f.set(name, value); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f *ConnectionFilter) set(name, value string) (err error) {
	switch name {
	case "in":
		f.State = strings.ToLower(value)
		switch f.State {
		case "idle", "connecting", "established", "terminated":
		default:
			err = fmt.Errorf("%q is no state: use idle, connecting, established or terminated", value)
		}
	case "gt":
		f.Longer, err = clockTime(value)
	case "from":
		f.From = value
	case "to":
		f.To = value
	case "for":
		f.For = value
	case "using":
		f.Using = value
	default:
		err = fmt.Errorf("%q is no filter: use in, gt, from, to, for or using", name)
	}
	return err
}

// clockTime reads hh:mm:ss, mm:ss or seconds.
func clockTime(text string) (time.Duration, error) {
	parts := strings.Split(text, ":")
	total := 0
	for _, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > 1_000_000 || len(parts) > 3 {
			return 0, fmt.Errorf("%q is no time: write hh:mm:ss, mm:ss or seconds", text)
		}
		total = total*60 + n
	}
	return time.Duration(total) * time.Second, nil
}

// Choose returns the sessions that fit, as of now.
func (f ConnectionFilter) Choose(list SessionList, now time.Time) []Session {
	var chosen []Session
	for _, s := range list.Sessions {
		if f.fits(&s, now) {
			chosen = append(chosen, s)
		}
	}
	return chosen
}

func (f ConnectionFilter) fits(s *Session, now time.Time) bool {
	idle, lasts := time.Duration(s.Idle)*time.Millisecond, now.Sub(s.Started)
	switch f.State {
	case "idle":
		if lasts = idle; idle < idleFrom {
			return false
		}
	case "connecting", "terminated": // those are no sessions
		return false
	}
	return (f.Longer == 0 || lasts > f.Longer) && clientFits(f.From, s) && instanceFits(f.To, s) &&
		(f.For == "" || f.For == "*" || strings.EqualFold(f.For, s.Service)) && (f.Using == "" || f.Using == "0" || f.Using == "*")
}

func clientFits(wanted string, s *Session) bool {
	if wanted == "" || wanted == "*" || strings.EqualFold(wanted, s.CID.Host) || addressMatches(wanted, s.Client, false) {
		return true
	}
	network, err := netip.ParsePrefix(wanted)
	if err != nil {
		return false
	}
	at, err := netip.ParseAddrPort(s.Client)
	return err == nil && network.Contains(at.Addr().Unmap())
}

func instanceFits(wanted string, s *Session) bool {
	name, host, _ := strings.Cut(s.Instance, "@")
	return wanted == "" || wanted == "*" || strings.EqualFold(wanted, name) || strings.EqualFold(wanted, host) ||
		strings.EqualFold(wanted, s.Instance) || addressMatches(wanted, s.Server.Remote, false)
}

// WriteCMANConnections writes sessions as `cmctl show connections` does: how is count, info or detail.
func WriteCMANConnections(w io.Writer, sessions []Session, how string, now time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Number of connections: %d\n", len(sessions))
	for _, s := range sessions {
		switch how {
		case "info":
			fmt.Fprintf(&b, "%s\n", printable(fmt.Sprintf("%s from %s to %s for %s in %s using 0", s.ID, s.Client, s.Instance, s.Service, connectionState(s))))
		case "detail":
			writeConnection(&b, s, now)
		}
	}
	b.WriteString(cmanDone)
	_, err := io.WriteString(w, b.String())
	return err
}

func connectionState(s Session) string {
	if time.Duration(s.Idle)*time.Millisecond >= idleFrom {
		return "idle"
	}
	return "established"
}

func writeConnection(b *strings.Builder, s Session, now time.Time) {
	host, port, _ := net.SplitHostPort(s.Client)
	b.WriteString("\n")
	for _, pair := range [...][2]string{
		{"Connection ID", s.ID}, {"Gateway ID", "0"}, {"Connection state", connectionState(s)},
		{"Source address", host}, {"Source port", port}, {"Source program", s.CID.Program}, {"Source machine", s.CID.Host}, {"Source user", s.CID.User},
		{"Destination address", s.Server.Remote}, {"Address seen by destination", s.Server.Local}, {"Service", s.Service}, {"Instance", s.Instance},
		{"Start time", compatTime(s.Started)}, {"Connection time", clock(now.Sub(s.Started))}, {"Idle time", clock(time.Duration(s.Idle) * time.Millisecond)},
		{"Bytes (IN)", fmt.Sprint(s.FromClient)}, {"Bytes (OUT)", fmt.Sprint(s.ToClient)},
	} {
		fact(b, gatewayWidth, pair[0], pair[1])
	}
}

// clock writes a length of time as hh:mm:ss.
func clock(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
