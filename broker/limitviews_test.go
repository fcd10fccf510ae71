package broker

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"servicebroker/console"
	"servicebroker/relay"
	"servicebroker/tns"
)

func TestLimitsAreShown(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Limits = Limits{MaxSessions: 2, MaxConnections: 50, ClientRate: 1000, IPRateCount: 1000, IPRateInterval: 1e9, ConnectionRate: 7, Bandwidth: 1 << 20}
		c.Listening = []ListenSettings{{Rate: 100}}
		c.Tenants = []Tenant{{Name: "a", Services: []string{"sales"}, Rate: 1000}}
		c.Services = []ServiceSetting{{Pattern: "sales", Treatment: relay.Treatment{MaxSessions: 1}}}
	})
	r.register("a", "sales")
	r.session("sales")
	r.wantCode(sales, tns.CodeNoHandler)
	var list console.LimitList
	if err := json.Unmarshal([]byte(r.get("/api/v1/limits")), &list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []console.LimitView{
		{Of: "databases", Unit: "connections", Parameter: "MAX_REG_CONNECTIONS", Most: 512, Now: 1},
		{Of: "all services", Unit: "sessions", Parameter: "MAX_SESSIONS", Most: 2, Now: 1},
		{Of: "all services", Unit: "bytes/s", Parameter: "BANDWIDTH", Most: 1 << 20},
		{Of: "service sales", Unit: "sessions", Parameter: "MAX_SESSIONS of SERVICE", Most: 1, Now: 1, Refused: 1},
		{Of: "tenant a", Unit: "connects/s", Parameter: "RATE of TENANT", Most: 1000},
		{Of: "each client", Unit: "connects/s", Parameter: "CLIENT_RATE", Most: 1000},
		{Of: "each client", Unit: "connects in 1s", Parameter: "IP_RATE_COUNT", Most: 1000},
		{Of: "address " + r.Addresses()[0], Unit: "connects/s", Parameter: "RATE_LIMIT of ADDRESS", Most: 100},
		{Of: "addresses with RATE_LIMIT=yes", Unit: "connects/s", Parameter: "CONNECTION_RATE", Most: 7},
	} {
		if !slices.Contains(list.Limits, want) {
			t.Errorf("no %+v in %+v", want, list.Limits)
		}
	}
	if !slices.ContainsFunc(list.Limits, func(l console.LimitView) bool { return l.Parameter == "MAX_ALL_CONNECTIONS" && l.Now > 0 }) {
		t.Errorf("no connections in %+v", list.Limits)
	}
	if text := r.get("/api/v1/limits"); strings.Contains(text, "null") {
		t.Error(text)
	}
}
