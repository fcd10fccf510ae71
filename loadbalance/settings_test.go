package loadbalance

import (
	"strings"
	"testing"
	"time"
)

func TestPolicyWords(t *testing.T) {
	for p := Adaptive; p <= Random; p++ {
		got, err := ParsePolicy(strings.ToUpper(p.String()))
		if err != nil || got != p {
			t.Errorf("%v reads back as %v, %v", p, got, err)
		}
	}
	if PolicyUnset.String() != "" || Policy(99).String() != "" {
		t.Error("what is no policy has a word")
	}
	for _, word := range []string{"", "leastconn", "adaptive "} {
		if p, err := ParsePolicy(word); err == nil || !strings.Contains(err.Error(), "goodness") {
			t.Errorf("%q: %v, %v; want an error that names the policies", word, p, err)
		}
	}
}

func TestSettingsDefaults(t *testing.T) {
	var zero Settings
	if zero.slowStart() != time.Minute || zero.connectTime() != 200*time.Millisecond || zero.reportInterval() != time.Minute || zero.brokers() != 1 {
		t.Errorf("defaults: %v %v %v %v", zero.slowStart(), zero.connectTime(), zero.reportInterval(), zero.brokers())
	}
	off := Settings{SlowStart: -1, ConnectTime: -1, Brokers: -3}
	if off.slowStart() != 0 || off.connectTime() != 0 || off.brokers() != 1 {
		t.Errorf("off: %v %v %v", off.slowStart(), off.connectTime(), off.brokers())
	}
	set := Settings{Policy: Sessions}
	if set.policy(&Ask{}) != Sessions || set.policy(&Ask{Policy: Random}) != Random || zero.policy(&Ask{}) != Adaptive {
		t.Error("the policy asked for comes first, then that of the settings, then adaptive")
	}
}

func TestTiers(t *testing.T) {
	tiers, err := ParseTiers(" sales1 ,SALES2; sales3@h;prod")
	if err != nil || tiers.String() != "sales1,SALES2;sales3@h;prod" {
		t.Fatalf("%v, %v", tiers, err)
	}
	for name, want := range map[string]int{"SALES1": 0, "sales2": 0, "sales3": 1, "other": 3} {
		if got := tiers.of(instance(name, 0, 1).candidate().Registration); got != want {
			t.Errorf("%s is in tier %d, want %d", name, got, want)
		}
	}
	of := instance("any", 0, 1)
	of.r.Database, of.r.Tier = "PROD", 7
	if got := tiers.of(of.candidate().Registration); got != 2 {
		t.Errorf("the database's instance is in tier %d, want 2", got)
	}
	var none *Tiers
	if got := none.of(of.candidate().Registration); got != 7 || none.String() != "" {
		t.Errorf("without tiers: %d, want what it registered under", got)
	}
	for _, text := range []string{"", ";a", "a,,b", "a;"} {
		if _, err := ParseTiers(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// What is configured applies from the next decision on, also to candidates known already.
func TestConfigureApplies(t *testing.T) {
	b := newBalancer(tied)
	a, c := instance("a", 1, 100), instance("c", 2, 100)
	c.r.Zone = "west"
	all := candidates(a, c)
	if got := names(b.Order(Ask{}, all).Route()); got != "a c" {
		t.Fatalf("order %s", got)
	}
	b.Configure(Settings{Zone: "west"})
	if got := names(b.Order(Ask{}, all).Route()); got != "c a" {
		t.Errorf("of zone west: %s", got)
	}
	tiers, _ := ParseTiers("a")
	if got := names(b.Order(Ask{Tiers: tiers}, all).Route()); got != "a c" {
		t.Errorf("tier before zone: %s", got)
	}
	if got := names(b.Order(Ask{}, all).Route()); got != "c a" {
		t.Errorf("without tiers again: %s", got)
	}
	b.Configure(Settings{Policy: Goodness})
	r := b.Order(Ask{}, all)
	if r.Policy() != "goodness" {
		t.Errorf("policy %q", r.Policy())
	}
}
