package simulation

import (
	"servicebroker/loadbalance"
)

// Policy is one line of the table.
type Policy struct {
	Name      string
	Ours      *Ours              // one of package loadbalance, or
	Reference *Reference         // one to compare with
	Published map[string]Figures // by scenario, as in peers.md 2.3
	Board     []float64          // published mean time in system on the literature's board
}

// Figures are a mean slowdown and its 99th percentile.
type Figures struct{ Slowdown, P99 float64 }

// Policies returns all that are compared, references first.
func Policies() []Policy {
	return append(references(), ours()...)
}

func references() []Policy {
	return []Policy{
		{Name: "JSQ, perfect information", Reference: &Reference{Score: actual}, Published: published(1.001, 1.02, 1.000, 1.00, 1.000, 1.01, 1.016, 1.22, 1.073, 1.49, 1.000, 1.00)},
		{Name: "least of two, perfect information", Reference: &Reference{Score: actual, Two: true}, Published: published(1.002, 1.04, 1.011, 1.22, 1.012, 1.21, 1.056, 1.46, 1.147, 1.75)},
		{Name: "random by capacity", Reference: &Reference{}, Published: published(1.095, 1.94, 1.107, 2.55, 1.105, 2.38, 1.416, 4.97, 1.986, 9.88, 1.110, 2.64), Board: []float64{9.77, 9.77, 9.77, 9.77, 9.77}},
		{Name: "weighted round robin", Reference: &Reference{Turns: true}, Published: published(1.028, 1.40, 1.072, 2.13, 1.033, 1.56, 1.166, 2.65, 1.497, 4.48, 1.072, 2.13)},
		{Name: "minimum of raw report", Reference: &Reference{Score: reported}, Published: published(6.07, 11.3, 4.44, 19.3, 85.6, 445, 1.417, 3.58, 9.07, 28.0, 38.0, 183), Board: []float64{2.33, 8.86, 30.5, 50.3, 178}},
		{Name: "least of two on raw report", Reference: &Reference{Score: reported, Two: true}, Published: published(1.186, 2.16, 1.260, 3.57, 14.6, 109, 1.112, 1.76, 1.757, 5.22, 3.02, 22.1), Board: []float64{2.66, 2.98, 4.07, 5.23, 12.7}},
		{Name: "report and own connects (delta)", Reference: &Reference{Score: reportedAndSent}, Published: published(1.016, 1.22, 1.129, 1.83, 14.1, 34.5, 1.064, 1.44, 1.949, 3.94, 3.36, 9.95), Board: []float64{1.19, 1.83, 2.59, 3.00, 4.03}},
		{Name: "least of two on delta", Reference: &Reference{Score: reportedAndSent, Two: true}, Published: published(1.017, 1.23, 1.086, 1.84, 4.84, 25.3, 1.082, 1.59, 1.432, 3.27)},
		{Name: "levelling (basic LI)", Reference: &Reference{Fill: true}, Published: published(1.064, 1.56, 1.045, 1.55, 1.105, 2.39, 1.053, 1.36, 1.348, 2.35, 1.090, 2.20), Board: []float64{1.60, 2.64, 4.13, 5.04, 7.53}},
		{Name: "aged estimate", Reference: &Reference{Score: aged}, Published: published(1.015, 1.22, 1.022, 1.37, 1.039, 1.66, 1.032, 1.26, 1.189, 1.90, 1.058, 1.98), Board: []float64{1.19, 1.78, 2.53, 2.98, 4.05}},
		{Name: "aged estimate, least of two", Reference: &Reference{Score: aged, Two: true}, Published: published(1.017, 1.23, 1.064, 1.78, 1.156, 3.18, 1.085, 1.62, 1.318, 2.60)},
		{Name: "aged deviation from fair share", Reference: &Reference{Score: deviation}, Published: published(1.016, 1.23, 1.034, 1.53, 1.074, 2.17, 1.040, 1.30, 1.209, 2.02, 1.099, 2.42)},
		{Name: "relay, least own", Reference: &Reference{Score: ownOpen}, Published: published(1.001, 1.02, 1.001, 1.02, 1.001, 1.03, 1.023, 1.24, 1.090, 1.53)},
		{Name: "relay, least of two own", Reference: &Reference{Score: ownOpen, Two: true}, Published: published(1.002, 1.04, 1.033, 1.43, 1.034, 1.41, 1.107, 1.76, 1.225, 2.13)},
	}
}

func ours() []Policy {
	aged := published(1.015, 1.22, 1.022, 1.37, 1.039, 1.66, 1.032, 1.26, 1.189, 1.90, 1.058, 1.98)
	change := published(1.001, 1.02, 1.001, 1.03, 1.002, 1.05, 1.021, 1.23, 1.085, 1.52, 1.001, 1.04)
	return []Policy{
		{Name: "adaptive, redirect", Ours: &Ours{Policy: loadbalance.Adaptive, Redirect: true}, Published: aged, Board: []float64{1.19, 1.78, 2.53, 2.98, 4.05}},
		{Name: "adaptive, redirect, BROKERS=1", Ours: &Ours{Policy: loadbalance.Adaptive, Redirect: true, Brokers: 1}},
		{Name: "adaptive, relay", Ours: &Ours{Policy: loadbalance.Adaptive}, Published: change},
		{Name: "adaptive, relay, BROKERS=1", Ours: &Ours{Policy: loadbalance.Adaptive, Brokers: 1}},
		{Name: "sessions, redirect", Ours: &Ours{Policy: loadbalance.Sessions, Redirect: true}},
		{Name: "sessions, relay", Ours: &Ours{Policy: loadbalance.Sessions}},
		{Name: "goodness", Ours: &Ours{Policy: loadbalance.Goodness, Redirect: true}},
		{Name: "roundrobin", Ours: &Ours{Policy: loadbalance.RoundRobin, Redirect: true}, Published: published(1.028, 1.40, 1.072, 2.13, 1.033, 1.56, 1.166, 2.65, 1.497, 4.48, 1.072, 2.13)},
		{Name: "random", Ours: &Ours{Policy: loadbalance.Random, Redirect: true}, Published: published(1.095, 1.94, 1.107, 2.55, 1.105, 2.38, 1.416, 4.97, 1.986, 9.88, 1.110, 2.64)},
	}
}

// published names pairs of figures by the scenarios A to F, as many as there are.
func published(pairs ...float64) map[string]Figures {
	all := map[string]Figures{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all[string(rune('A'+i/2))] = Figures{pairs[i], pairs[i+1]}
	}
	return all
}
