package drivers

import (
	"fmt"
	"strings"
	"testing"
)

// Several databases stand behind one broker, offer the same services, and rules by the
// host of a database say who may have which. Rules on trial count and change nothing.
func TestRulesSegregateDatabases(t *testing.T) {
	b := startBroker(t, brokerOptions{parameters: []string{"POLICY=roundrobin"}, rules: []string{
		"RULE=(SRC=*)(DST=*)(SRV=*)(ACT=log)(PROGRAM=*)",
		"RULE=(SRC=*)(DST=127.0.0.2)(SRV=sales)(ACT=reject)",
		"RULE=(SRC=127.0.0.0/8)(DST=127.0.0.3)(SRV=hr)(ACT=drop)",
		"RULE=(SRC=*)(DST=localhost)(SRV=shared)(ACT=reject)",
		"RULE=(SRC=*)(DST=127.0.0.0/24)(SRV=*)(ACT=accept)(USER=*)",
	}})
	for i, host := range []string{"127.0.0.2", "127.0.0.3"} {
		startDatabase(t, databaseOptions{
			instance: fmt.Sprint("db", i+2), services: []string{"sales", "hr", "shared"}, brokers: []string{b.address},
			arguments: []string{"--listen", host + ":0"},
		})
	}
	b.awaitService(t, "shared", "READY", 2)
	seen := map[string]map[string]bool{"sales": {}, "hr": {}, "shared": {}}
	for range 6 {
		for service, at := range seen {
			instance, err := visited(work(t, GoOra{}, visit(b.descriptor("(SERVICE_NAME="+service+")")), nil))
			if err != nil {
				t.Errorf("%s: %v", service, err)
			}
			at[instance] = true
		}
	}
	if got := fmt.Sprint(seen); got != "map[hr:map[db2:true] sales:map[db3:true] shared:map[db2:true db3:true]]" {
		t.Errorf("clients came to %s", got)
	}
	results := work(t, GoOra{}, []Step{open("c", b.descriptor("(SERVICE_NAME=hr)(INSTANCE_NAME=db3)"))}, nil)
	if !strings.Contains(results[0].Error, "EOF") {
		t.Errorf("dropped, it says %q", results[0].Error)
	}
	results = work(t, GoOra{}, []Step{open("c", b.descriptor("(SERVICE_NAME=sales)(INSTANCE_NAME=db2)"))}, nil)
	if !strings.Contains(results[0].Error, "ORA-12529") {
		t.Errorf("rejected, it says %q", results[0].Error)
	}
	var list struct {
		Rules []struct {
			Text    string `json:"text"`
			Matched int    `json:"matched"`
		} `json:"rules"`
	}
	must(t, b.getJSON("/api/v1/rules", &list))
	for i, want := range []int{20, 7, 7, 0, 18} {
		if got := list.Rules[i].Matched; got != want {
			t.Errorf("%s: matched %d, want %d", list.Rules[i].Text, got, want)
		}
	}
}
