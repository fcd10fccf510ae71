package drivers

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// at is a time in seconds after the fault of these tests.
func at(seconds float64) time.Time {
	return time.Unix(1_900_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

// attempt is a connect that began and ended at these times.
func attempt(began, ended float64, err string) Connected {
	took := (ended - began) * 1000
	return Connected{Driver: "a driver", StartedMS: float64(at(began).UnixMicro()) / 1000, ConnectMS: took, TookMS: took, Error: err}
}

func sighting(answer stage.Answer, answered float64, text string) []stage.Sighting {
	return []stage.Sighting{{Answer: answer, Answered: at(answered), Text: text}}
}

func TestJudge(t *testing.T) {
	const here, elsewhere = "(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))", "(ADDRESS=(PROTOCOL=tcp)(HOST=db2)(PORT=1522))"
	deadly := stage.Fault{Deadly: true, Silent: true}
	for name, test := range map[string]struct {
		fault stage.Fault
		c     Connected
		seen  []stage.Sighting
		want  Outcome
	}{
		"got in":                                   {deadly, attempt(1, 1.1, ""), sighting(stage.Accepted, 1.05, ""), Succeeded},
		"got in late":                              {deadly, attempt(1, 9, ""), sighting(stage.Accepted, 8, ""), Succeeded},
		"refused":                                  {deadly, attempt(1, 1.1, "ORA-12514"), sighting(stage.Refused, 1.05, ""), Failed},
		"never answered":                           {deadly, attempt(1, 9, "broken"), sighting(stage.NoAnswer, 0, ""), Failed},
		"not even seen":                            {deadly, attempt(1, 9, "broken"), nil, Failed},
		"its login under way":                      {deadly, attempt(-0.1, 0.1, "broken"), sighting(stage.Accepted, -0.05, ""), InFlight},
		"its ACCEPT on its way":                    {deadly, attempt(-0.1, 0.1, "broken"), sighting(stage.Accepted, 0.05, ""), InFlight},
		"accepted after the fault":                 {deadly, attempt(1, 2, "broken"), sighting(stage.Accepted, 1.1, ""), Failed},
		"over before the fault":                    {deadly, attempt(-2, -1, "broken"), sighting(stage.Accepted, -1.5, ""), Failed},
		"a session lost that need not be":          {stage.Fault{}, attempt(-0.1, 0.1, "broken"), sighting(stage.Accepted, -0.05, ""), Failed},
		"redirected before the fault":              {stage.Fault{}, attempt(-0.1, 0.1, "ORA-12528"), sighting(stage.Redirected, -0.05, here), InFlight},
		"redirected before it could be known":      {deadly, attempt(1, 1.1, "reset"), sighting(stage.Redirected, 1.05, here), InWindow},
		"redirected there, and waited":             {deadly, attempt(1, 9, ""), sighting(stage.Redirected, 1.05, here), InWindow},
		"redirected there, and did not wait":       {deadly, attempt(1, 1.5, ""), sighting(stage.Redirected, 1.05, here), Succeeded},
		"redirected there when it should be known": {deadly, attempt(6, 6.1, "reset"), sighting(stage.Redirected, 6.05, here), Failed},
		"redirected elsewhere, in vain":            {deadly, attempt(1, 1.1, "reset"), sighting(stage.Redirected, 1.05, elsewhere), Failed},
		"refused at the second try":                {deadly, attempt(-0.1, 1.1, "ORA-12514"), append(sighting(stage.Accepted, -0.05, ""), sighting(stage.Refused, 1, "")...), InFlight},
	} {
		struck := &Struck{Fault: test.fault, Address: "198.18.0.2:1521", Began: at(0), Done: at(0.01), Window: 5 * time.Second}
		if got := struck.Judge(test.c, test.seen); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	var none *Struck
	if got := none.Judge(attempt(1, 2, "broken"), sighting(stage.Accepted, 1.5, "")); got != Failed {
		t.Errorf("without a fault an error is called %s", got)
	}
}

// Connects are brought together with what the tap saw by the loopback address to which they went.
func TestAssessAndSummarise(t *testing.T) {
	door := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 16, 0, n}) }
	var connects []Connected
	var seen []stage.Sighting
	for n := range 100 { // of which 0 and 1 began before the fault, and the last four are counted apart or failed
		began := float64(n-2)/100 + 0.005
		c := attempt(began, began+float64(n+1)/1000, "")
		c.N, c.Door, c.Answer = n, door(byte(n)), []string{"sales1", "sales2"}[n%2]
		s := stage.Sighting{Door: c.Door, Answer: stage.Accepted, Answered: at(began)}
		switch n {
		case 96:
			c.Error, s.Answer = "ORA-12514", stage.Refused
		case 97:
			c.Error, s.Answer, s.Text = "reset", stage.Redirected, "(ADDRESS=(PORT=1521))"
		case 98, 99:
			c.Error, s.Answered = "broken", at(-1)
		}
		connects, seen = append(connects, c), append(seen, s)
	}
	struck := Struck{Fault: stage.Fault{Name: "crash", Deadly: true}, Address: "db1:1521", Began: at(0), Done: at(0), Healed: at(100), Window: time.Second}
	samples := Assess(connects, seen, &struck)
	row := Summarise("relay", struck, samples)
	if row.Connects != 100 || row.Failed != 1 || row.InWindow != 1 || row.InFlight != 2 || row.Reached["sales1"] != 48 || row.Reached["sales2"] != 48 {
		t.Errorf("summed up as %+v", row)
	}
	near := func(got time.Duration, ms int) bool {
		return got.Round(10*time.Microsecond) == time.Duration(ms)*time.Millisecond
	}
	if !near(row.P50, 49) || !near(row.Max, 97) || !near(row.P99, 97) || !near(row.During, 97) {
		t.Errorf("times are %v, %v, %v, %v", row.P50, row.P99, row.Max, row.During)
	}
	if samples[96].Outcome != Failed || len(samples[96].Seen) != 1 || samples[96].Seen[0].Answer != stage.Refused {
		t.Errorf("the refused one is %+v", samples[96])
	}
	var text strings.Builder
	must(t, WriteTable(&text, []Row{row}))
	for _, want := range []string{"crash", "100", "49.0 ms", "97.0 ms", "sales1 48, sales2 48"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, text.String())
		}
	}
}

func TestPercentile(t *testing.T) {
	ms := func(n int) (all []time.Duration) {
		for i := range n {
			all = append(all, time.Duration(n-i)*time.Millisecond)
		}
		return all
	}
	for _, test := range []struct{ count, percent, want int }{
		{0, 50, 0}, {1, 50, 1}, {1, 99, 1}, {2, 50, 1}, {3, 50, 2}, {100, 50, 50}, {100, 99, 99}, {100, 100, 100}, {1000, 99, 990}, {1001, 99, 991},
	} {
		if got := percentile(ms(test.count), test.percent); got != time.Duration(test.want)*time.Millisecond {
			t.Errorf("%d%% of 1 to %d is %v, want %d", test.percent, test.count, got, test.want)
		}
	}
}
