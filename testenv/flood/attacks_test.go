package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"servicebroker/testenv/stage"
)

var (
	onlyKind   = flag.String("kinds", "", "kinds of attack with comma; empty: all")
	attackRate = flag.Float64("attack-rate", 2000, "connections a second of an attack, with -full")
	rounds     = flag.Int("rounds", 3, "of each attack, with -full")
)

// pemFile writes what a broker shows at its address with TLS.
func pemFile(t *testing.T) string {
	t.Helper()
	certificate, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "broker.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// side is what is attacked and measured: the broker, or a server that only answers.
type side struct {
	plain, secure string
	services      []string // that are asked for
}

// slice measures one side's other clients beside an attack on it.
func slice(ctx context.Context, t *testing.T, s side, kind string, rate float64, lasting time.Duration) []*measured {
	t.Helper()
	at := s.plain
	if overTLS(kind) {
		at = s.secure
	}
	attack := play(t, "attack", "--target", at, "--kind", kind, "--rate", fmt.Sprint(rate), "--for", lasting.String())
	says(ctx, t, attack, `^(attack began)$`)
	var targets []string
	for _, service := range s.services {
		targets = append(targets, s.plain+"/"+service)
	}
	measure := play(t, "measure", "--target", strings.Join(targets, ","), "--each", "150", "--for", (lasting * 9 / 10).String(), "--raw")
	var got []*measured
	if err := json.Unmarshal([]byte(says(ctx, t, measure, `^(\[.*\])$`)), &got); err != nil {
		t.Fatal(err)
	}
	var harm attacked
	if err := json.Unmarshal([]byte(says(ctx, t, attack, `^(\{.*\})$`)), &harm); err != nil {
		t.Fatal(err)
	}
	if harm.Offered == 0 {
		t.Errorf("%s: no attack took place: %+v", kind, harm)
	}
	t.Logf("%s: %+v", kind, harm)
	return got
}

// together summarizes what was measured in several slices.
func together(all [][]*measured, at int) *measured {
	sum := &measured{}
	for _, one := range all {
		sum.Failed, sum.Why = sum.Failed+one[at].Failed, sum.Why+one[at].Why
		for _, ms := range one[at].Took {
			sum.took = append(sum.took, time.Duration(ms*float64(time.Millisecond)))
		}
	}
	sum.summarize()
	return sum
}

// Whatever is done to a broker by volume, its other clients are served; with -full, within
// twice the time of a server that does nothing but answer, under the same attack by turns.
func TestOthersAreServedBesideAttacks(t *testing.T) {
	rate, each, times := 200.0, 300*time.Millisecond, 1
	if *full {
		rate, each, times = *attackRate, 2*time.Second, *rounds
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	instance := strings.Fields(says(ctx, t, play(t, "bare"), `^ready (.+)$`))[0]
	bare := strings.Fields(says(ctx, t, play(t, "bare"), `^ready (.+)$`))
	_, port, _ := strings.Cut(instance, ":")
	static := "STATIC_SERVICE=(NAME=%s)(INSTANCE=i1)(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=" + port + "))"
	b, err := stage.StartBroker(ctx, stage.BrokerOptions{Program: programs.broker, Quiet: true, Addresses: []string{"(ADDRESS=(PROTOCOL=tcps)(HOST=127.0.0.1)(PORT=0))"}, Parameters: []string{
		"TLS_CERTIFICATE=" + pemFile(t), "REGISTRATION_EXCLUDED_NODES=127.0.0.2", "SERVICE=(NAME=flooded)(RATE=20)", "SERVICE=(NAME=sent)(ROUTE=redirect)",
		"ACCEPT_QUEUE_WAIT=1", "PROBE_INTERVAL=0", "HOLD_TIMEOUT=0", fmt.Sprintf(static, "flooded"), fmt.Sprintf(static, "other"), fmt.Sprintf(static, "sent"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	wanted := kinds()
	if *onlyKind != "" {
		wanted = strings.Split(*onlyKind, ",")
	}
	sides := []side{{b.Address, b.Further[0], []string{"other", "sent"}}, {bare[0], bare[1], []string{"other"}}}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "attack\trelay p50\tp99\tredirect p50\tp99\tbare p50\tp99\trelay ratio\tredirect ratio\t")
	for _, kind := range wanted {
		got := [2][][]*measured{}
		for range times {
			for i, s := range sides {
				got[i] = append(got[i], slice(ctx, t, s, kind, rate, each))
			}
		}
		relay, redirect, theirs := together(got[0], 0), together(got[0], 1), together(got[1], 0)
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%.1f\t\n", kind, relay.P50, relay.P99, redirect.P50, redirect.P99, theirs.P50, theirs.P99, relay.P99/theirs.P99, redirect.P99/theirs.P99)
		if failed := relay.Failed + redirect.Failed; failed > 0 || *full && min(relay.Count, redirect.Count) == 0 {
			t.Errorf("%s: %d connects of others failed: %s%s", kind, failed, relay.Why, redirect.Why)
		}
	}
	w.Flush()
	t.Logf("milliseconds, by turns, %d times %v each, %v attacking connections a second:\n%s", times, each, rate, table.String())
	log, _ := b.Log.Read()
	told := 5*len(wanted) + int(rate) // others than sessions, which have a line each, soon one in ten seconds
	for _, kind := range wanted {
		if kind == "accepted" || kind == "resend" || kind == "sessions" {
			told += int(rate*each.Seconds()+rate/10) * times
		}
	}
	if lines := strings.Count(string(log), "127.0.0.2"); lines > told {
		t.Errorf("the attacks are told in %d lines", lines)
	}
}

func TestClientHello(t *testing.T) {
	hello := clientHello()
	if len(hello) < 100 || hello[0] != 0x16 || len(hello) != 5+int(hello[3])<<8+int(hello[4]) {
		t.Errorf("%d bytes: % x", len(hello), hello)
	}
	if !slices.Contains(kinds(), "hold") || math.IsNaN(*attackRate) {
		t.Error(kinds())
	}
}
