package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oasdiff/yaml"
)

const (
	alertsFile    = "../deploy/prometheus/alerts.yaml"
	dashboardFile = "../deploy/grafana/servicebroker.json"
)

type alertRule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

// alerts are all rules of the file.
func alerts(t *testing.T) (all []alertRule) {
	t.Helper()
	content, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []alertRule
		}
	}
	if content, err = yaml.YAMLToJSON(content); err != nil {
		t.Fatal(err)
	}
	strict := json.NewDecoder(bytes.NewReader(content))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("%d alerts", len(all))
	}
	return all
}

// grafana is a dashboard, as far as it matters whether it can work.
type grafana struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
	Panels []grafanaPanel
}

type grafanaPanel struct {
	ID                       int
	Type, Title, Description string
	Datasource               *struct{ UID string }
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []struct{ RefID, Expr, LegendFormat string }
}

func dashboard(t *testing.T) *grafana {
	t.Helper()
	content, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d grafana
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// expressions are all that alerts and dashboard ask for, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, a := range alerts(t) {
		all["alert "+a.Alert] = a.Expr
	}
	d := dashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all["panel "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, v := range d.Templating.List {
		if query, is := v.Query.(map[string]any); is {
			text := strings.TrimPrefix(fmt.Sprint(query["query"]), "label_values(")
			all["variable "+v.Name] = text[:max(strings.LastIndexByte(text, ','), 0)] // before the label
		}
	}
	return all
}

// What alerts and dashboard ask for is there, with the labels by which they ask for it.
func TestDeployedMetricsAreShown(t *testing.T) {
	r := everything(t)
	families, err := r.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{"up": {}}
	for _, f := range families {
		var names []string
		for _, one := range f.GetMetric() {
			for _, l := range one.GetLabel() {
				names = append(names, l.GetName())
			}
		}
		labels[f.GetName()] = names
		if f.GetType().String() == "HISTOGRAM" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				labels[f.GetName()+suffix] = append(names, "le")
			}
		}
	}
	metricName := regexp.MustCompile(`\b(?:servicebroker|process|go)_[a-z_]+(\{[^}]*\})?`)
	matcher := regexp.MustCompile(`(\w+) *(?:=~|!~|!=|=)`)
	grouping := regexp.MustCompile(`\bby \(([^)]*)\)`)
	used := map[string]bool{}
	for where, expr := range expressions(t) {
		var here []string
		for _, found := range metricName.FindAllStringSubmatch(expr, -1) {
			name := strings.TrimSuffix(found[0], found[1])
			known, there := labels[name]
			if !there {
				t.Errorf("%s: there is no metric %s", where, name)
			}
			used[name] = true
			known = append(slices.Clone(known), "job", "instance")
			for _, m := range matcher.FindAllStringSubmatch(found[1], -1) {
				if !slices.Contains(known, m[1]) {
					t.Errorf("%s: %s has no label %s", where, name, m[1])
				}
			}
			here = append(here, known...)
		}
		for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
			for label := range strings.SplitSeq(g[1], ",") {
				if label = strings.TrimSpace(label); label != "" && !slices.Contains(here, label) {
					t.Errorf("%s: grouped by %s, which nothing there has", where, label)
				}
			}
		}
	}
	if len(used) < 30 {
		t.Errorf("only %d metrics are used: %v", len(used), used)
	}
}

// Every alert says what to do, and the documentation says more.
func TestAlertsHaveRemedies(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range alerts(t) {
		if seen[a.Alert] {
			t.Errorf("%s is there twice", a.Alert)
		}
		seen[a.Alert] = true
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
		}
		for _, name := range []string{"summary", "remedy"} {
			if len(a.Annotations[name]) < 20 || !strings.HasSuffix(a.Annotations[name], ".") {
				t.Errorf("%s: %s %q", a.Alert, name, a.Annotations[name])
			}
		}
		anchor, is := strings.CutPrefix(a.Annotations["runbook"], "docs/operations.md#")
		if !is || !strings.Contains(string(page), `<a id="`+anchor+`"></a>`) {
			t.Errorf("%s: docs/operations.md has nothing at %q", a.Alert, a.Annotations["runbook"])
		}
	}
}

// The dashboard is whole: panels beside each other, each with a title, an explanation and
// something to show.
func TestDashboardIsWhole(t *testing.T) {
	d := dashboard(t)
	if d.UID == "" || d.Title == "" || len(d.Panels) < 20 || len(d.Templating.List) != 4 {
		t.Errorf("%q %q with %d panels and %d variables", d.UID, d.Title, len(d.Panels), len(d.Templating.List))
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: the id is there twice, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		at := p.GridPos
		if at.X < 0 || at.X+at.W > 24 || at.W < 1 || at.H < 1 {
			t.Errorf("%s: at %+v", p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] || target.Expr == "" {
				t.Errorf("%s: target %q is there twice, or asks for nothing", p.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
		if len(p.Targets) == 0 || p.Datasource == nil || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: %d targets, data source %v", p.Title, len(p.Targets), p.Datasource)
		}
	}
}

// promtool is Prometheus's own check of rules and metrics.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../.testdeps/bin/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if path, err = exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed: scripts/testdeps fetches it where apt-get can")
	}
	return path
}

func TestPrometheusTakesTheAlerts(t *testing.T) {
	tool := promtool(t)
	for _, arguments := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(tool, arguments...)
		cmd.Dir = filepath.Dir(alertsFile)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, out)
		}
	}
}

// What the dashboard asks for is good PromQL: as rules, Prometheus checks it.
func TestPrometheusTakesTheDashboard(t *testing.T) {
	tool := promtool(t)
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	values := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*", "$service", ".*")
	for where, expr := range expressions(t) {
		if !strings.HasPrefix(where, "alert ") {
			rules = append(rules, rule{fmt.Sprintf("query:%d", len(rules)), values.Replace(expr)})
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	content, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Prometheus finds nothing to complain of in what a broker shows.
func TestPrometheusTakesTheMetrics(t *testing.T) {
	tool := promtool(t)
	r := everything(t)
	_, body := health(t, r.ConsoleAddress(), "/metrics")
	cmd := exec.Command(tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
