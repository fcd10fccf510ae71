package intent

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"servicebroker/moment"
)

// Bounds of what people may say.
const (
	maxName   = 256
	maxReason = 1024
	maxWeight = 1000
)

// Kinds returns all kinds of intent.
func Kinds() []Kind { return []Kind{Drain, Weight, Hold, Maintenance, Approve, Reject} }

// ParseKind returns the kind for a word, in any case. The error names the nearest kind.
func ParseKind(word string) (Kind, error) {
	k := Kind(strings.ToLower(strings.TrimSpace(word)))
	if slices.Contains(Kinds(), k) {
		return k, nil
	}
	var all []string
	for _, k := range Kinds() {
		all = append(all, string(k))
	}
	return "", fmt.Errorf("%q is no kind of intent (there are %s): did you mean %s?", shorten(word), strings.Join(all, ", "), nearestKind(string(k)))
}

// ParseTarget returns t in the form in which it is kept: blanks around fields removed, the network as a CIDR or an
// address. The error says what is wrong with it and what to write.
func ParseTarget(t Target) (Target, error) {
	for _, f := range t.fields() {
		*f.text = strings.TrimSpace(*f.text)
		if err := checkText(f.name, *f.text, maxName); err != nil {
			return Target{}, err
		}
	}
	if t.count() == 0 {
		return Target{}, errors.New("the target is empty: name at least one of database, service, instance, node, network")
	}
	if name, host, qualified := strings.Cut(t.Instance, "@"); qualified && (name == "" || host == "" || strings.Contains(host, "@")) {
		return Target{}, fmt.Errorf("instance %q is neither a name nor name@host: write it like sales1 or sales1@db1", t.Instance)
	}
	if t.Network != "" {
		network, err := parseNetwork(t.Network)
		if err != nil {
			return Target{}, err
		}
		if t.Network = network.String(); network.IsSingleIP() {
			t.Network = network.Addr().String()
		}
	}
	return t, nil
}

// parseNetwork reads a CIDR or a single address.
func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, noNetwork(text)
		}
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, noNetwork(text)
	}
	if addr := network.Addr(); addr.Is4In6() {
		if network.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("network %q is wider than all IPv4 addresses: write 0.0.0.0/0 for those, ::/0 for all of IPv6", text)
		}
		network = netip.PrefixFrom(addr.Unmap(), network.Bits()-96)
	}
	if masked := network.Masked(); masked != network {
		return netip.Prefix{}, fmt.Errorf("network %q names an address inside %v: write %v for all of it, or %v for that address alone",
			text, masked, masked, network.Addr())
	}
	return network, nil
}

func noNetwork(text string) error {
	return fmt.Errorf("network %q is neither an address nor a CIDR: write it like 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", text)
}

// check returns i in the form in which it is kept.
func check(i Intent, now time.Time) (Intent, error) {
	var err error
	if i.Kind, err = ParseKind(string(i.Kind)); err != nil {
		return Intent{}, err
	}
	if i.Target, err = ParseTarget(i.Target); err != nil {
		return Intent{}, err
	}
	if err := checkFit(i); err != nil {
		return Intent{}, err
	}
	if err := cmp.Or(moment.InUTC("created", &i.Created), checkDeadline(&i, now)); err != nil {
		return Intent{}, err
	}
	i.Reason, i.Source = strings.TrimSpace(i.Reason), strings.TrimSpace(i.Source)
	if err := checkText("reason", i.Reason, maxReason); err != nil {
		return Intent{}, err
	}
	return i, checkText("source", i.Source, maxName)
}

// checkFit tells whether the fields suit the kind.
func checkFit(i Intent) error {
	trust := i.Kind == Approve || i.Kind == Reject
	switch {
	case i.Kind == Weight && i.Value > maxWeight:
		return fmt.Errorf("weight %d is out of range: give per cent of the capacity, 0 to %d (100 is all of it)", i.Value, maxWeight)
	case i.Kind != Weight && i.Value != 0:
		return fmt.Errorf("a %s has no value, but %d was given: leave value out", i.Kind, i.Value)
	case i.Kind != Drain && i.EndSessions:
		return fmt.Errorf("a %s ends no sessions: leave end_sessions out, or drain the target", i.Kind)
	case i.EndSessions && i.Deadline.IsZero():
		return errors.New("the drain is to end sessions, but not when: give a deadline (--timeout)")
	case trust && i.Target.Quarantine == "":
		return fmt.Errorf("%s needs the ID of a quarantined registration: see GET /api/v1/quarantine or broker quarantine", i.Kind)
	case trust && i.Target.Network != "":
		return fmt.Errorf("%s is not about clients: leave network out", i.Kind)
	case !trust && i.Target.Quarantine != "":
		return fmt.Errorf("a %s is not about a quarantined registration: leave quarantine out, or approve or reject it", i.Kind)
	}
	return nil
}

// checkDeadline refuses deadlines at which i would end before it began. A drain may be due at once.
func checkDeadline(i *Intent, now time.Time) error {
	if i.Deadline.IsZero() {
		return nil
	}
	if err := moment.InUTC("the deadline", &i.Deadline); err != nil {
		return err
	}
	if i.Kind != Drain && !i.Deadline.After(now) {
		return fmt.Errorf("the deadline %s has passed, it is %s: give a later one, or none",
			i.Deadline.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkText refuses what cannot be shown or kept faithfully.
func checkText(name, text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("%s %q is %d bytes long: keep it within %d", name, shorten(text), len(text), most)
	case !utf8.ValidString(text):
		return fmt.Errorf("%s %q is not UTF-8: type it again, or use * for the letters in question", name, shorten(text))
	case strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("%s %q has control characters in it: remove them", name, shorten(text))
	}
	return nil
}

// shorten returns enough of a text to recognise it.
func shorten(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

// nearestKind returns the kind that was probably meant by a word.
func nearestKind(word string) Kind {
	switch word {
	case "stop", "disable", "shutdown", "evacuate":
		return Drain
	case "pause", "suspend", "park", "queue":
		return Hold
	case "offline", "down", "maint":
		return Maintenance
	case "accept", "allow", "permit", "trust":
		return Approve
	case "deny", "refuse", "block", "forbid":
		return Reject
	case "share", "percent", "capacity":
		return Weight
	}
	best, fewest := Drain, -1
	for _, k := range Kinds() {
		if n := edits(word, string(k)); fewest < 0 || n < fewest {
			best, fewest = k, n
		}
	}
	return best
}

// edits is the Levenshtein distance of two short words.
func edits(a, b string) int {
	a = a[:min(len(a), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			above := row[j]
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above+1, row[j-1]+1, diagonal+cost)
			diagonal = above
		}
	}
	return row[len(b)]
}
