package drivers

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"servicebroker/testenv/stage"
)

// Outcome is what became of a connect, in the sense in which a connect counts as failed: an error although the client
// had no ACCEPT and no REDIRECT when the fault struck.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "ok"
	Failed    Outcome = "failed"
	InFlight  Outcome = "in flight" // lost after its ACCEPT or REDIRECT, on the instance that died then
	InWindow  Outcome = "in window" // redirected to the instance after the fault and before it could be detected
)

// Struck tells of a fault that has happened.
type Struck struct {
	stage.Fault
	Address string        // of the listener of the instance that it hits, as redirects name it
	Began   time.Time     // before it struck
	Done    time.Time     // when it had struck
	Healed  time.Time     // when all was ready again
	Window  time.Duration // within which it must be detected
}

// onItsWay is how long an ACCEPT that left before the fault may take to be seen.
const onItsWay = time.Second

// Judge tells what became of a connect, by what the tap saw of it.
func (f *Struck) Judge(c Connected, seen []stage.Sighting) Outcome {
	if c.Error == "" && !f.late(c) {
		return Succeeded
	}
	if f != nil && c.Ended().After(f.Began) {
		for _, s := range slices.Backward(seen) {
			switch s.Answer {
			case stage.Accepted:
				if f.Deadly && s.Answered.Before(f.Done.Add(onItsWay)) {
					return InFlight
				}
			case stage.Redirected:
				if !strings.Contains(s.Text, portOf(f.Address)) {
					continue
				}
				if s.Answered.Before(f.Began) {
					return InFlight
				}
				if s.Answered.After(f.Began) && s.Answered.Before(f.Done.Add(f.Window)) {
					return InWindow
				}
			}
		}
	}
	if c.Error == "" {
		return Succeeded
	}
	return Failed
}

// late tells whether a connect that got in may have waited for the end of a fault that is silent.
func (f *Struck) late(c Connected) bool { return f != nil && f.Silent && c.TookMS > 1000 }

func portOf(address string) string {
	_, port, _ := strings.Cut(address, ":")
	return "(PORT=" + port + ")"
}

// Sample is a connect and what became of it.
type Sample struct {
	Connected
	Outcome Outcome
	Seen    []stage.Sighting // its connections to the broker
}

// Assess judges connects by what a tap saw. fault may be nil: nothing happened.
func Assess(connects []Connected, seen []stage.Sighting, fault *Struck) []Sample {
	byDoor := map[netip.Addr][]stage.Sighting{}
	for _, s := range seen {
		byDoor[s.Door] = append(byDoor[s.Door], s)
	}
	samples := make([]Sample, len(connects))
	for i, c := range connects {
		own := byDoor[c.Door]
		samples[i] = Sample{Connected: c, Seen: own, Outcome: fault.Judge(c, own)}
	}
	return samples
}

// Row sums up samples.
type Row struct {
	Mode, Fault                string
	Connects                   int
	Failed, InFlight, InWindow int
	P50, P99, Max              time.Duration // of connects that were not counted apart
	During                     time.Duration // P99 of those that began after the fault struck and before all was ready again
	Reached                    map[string]int
}

// Summarise makes a row of samples.
func Summarise(mode string, struck Struck, samples []Sample) Row {
	row := Row{Mode: mode, Fault: struck.Name, Connects: len(samples), Reached: map[string]int{}}
	var took, during []time.Duration
	for _, s := range samples {
		switch s.Outcome {
		case Failed:
			row.Failed++
		case InFlight:
			row.InFlight++
			continue
		case InWindow:
			row.InWindow++
			continue
		case Succeeded:
			row.Reached[s.Answer]++
		}
		took = append(took, s.ConnectTime())
		if s.Started().After(struck.Began) && s.Started().Before(struck.Healed) {
			during = append(during, s.ConnectTime())
		}
	}
	row.During = percentile(during, 99)
	row.P50, row.P99, row.Max = percentile(took, 50), percentile(took, 99), percentile(took, 100)
	return row
}

// percentile is the smallest value that so many per cent of all do not exceed.
func percentile(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max((len(sorted)*percent+99)/100, 1)-1]
}

// WriteTable writes rows for people.
func WriteTable(w io.Writer, rows []Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "mode\tfault\tconnects\tfailed\tin flight\tin window\tp50\tp99\tmax\tp99 during\tof each instance\t")
	for _, r := range rows {
		var reached []string
		for instance, n := range r.Reached {
			reached = append(reached, fmt.Sprintf("%s %d", instance, n))
		}
		slices.Sort(reached)
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t\n", r.Mode, r.Fault, r.Connects, r.Failed, r.InFlight, r.InWindow,
			milliseconds(r.P50), milliseconds(r.P99), milliseconds(r.Max), milliseconds(r.During), strings.Join(reached, ", "))
	}
	return table.Flush()
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
