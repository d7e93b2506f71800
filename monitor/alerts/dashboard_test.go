package alerts

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// dashboard is the part of Grafana's model that the tests look at.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct{ List []variable }
	Annotations   struct{ List []annotation }
	Panels        []panel
}

type variable struct {
	Name, Type, Definition string
	Datasource             datasource
}

type datasource struct{ Type, UID string }

type annotation struct {
	Datasource datasource
	Enable     bool
	Expr       string
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               datasource
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []target
	FieldConfig              struct{ Defaults struct{ Unit string } }
}

type target struct {
	Datasource                datasource
	Expr, LegendFormat, RefID string
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("dbpool.dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 36 || len(d.Panels) == 0 {
		t.Fatalf("title %q, uid %q, schema %d, %d panels", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	return d
}

// plain replaces what Grafana fills in before it asks Prometheus.
func plain(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "$pool", ".*").Replace(expr)
}

func TestDashboardVariables(t *testing.T) {
	exported, known := exports(t), map[string]bool{}
	for _, v := range readDashboard(t).Templating.List {
		known[v.Name] = true
		if v.Type == "datasource" {
			continue
		}
		q := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Definition)
		if q == nil || q[2] != v.Name || v.Datasource.UID != "${datasource}" {
			t.Errorf("%s: query %q, data source %q", v.Name, v.Definition, v.Datasource.UID)
			continue
		}
		if err := exported.check(plain(q[1])); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	for _, name := range []string{"datasource", "job", "instance", "pool"} {
		if !known[name] {
			t.Errorf("no variable %s", name)
		}
	}
}

// The charts show when an alert fired: each of the rules.
func TestDashboardAnnotations(t *testing.T) {
	list := readDashboard(t).Annotations.List
	if len(list) != 1 || !list[0].Enable || list[0].Datasource.UID != "${datasource}" {
		t.Fatalf("annotations: %+v", list)
	}
	q := regexp.MustCompile(`^ALERTS\{alertname=~"(.+)",alertstate="firing",job=~"\$job"\}$`).FindStringSubmatch(list[0].Expr)
	if q == nil {
		t.Fatalf("the query is %s", list[0].Expr)
	}
	for _, r := range ruleFile(t) {
		if !regexp.MustCompile("^(" + q[1] + ")$").MatchString(r.Alert) {
			t.Errorf("%s is not shown", r.Alert)
		}
	}
}

// One replica of many that is stuck is lost in a sum: what matters has a line for
// each.
func TestDashboardShowsEachInstance(t *testing.T) {
	for _, title := range []string{"Usage", "Waiting", "Turned away", "Share", "Background failures"} {
		title += " by instance"
		i := slices.IndexFunc(readDashboard(t).Panels, func(p panel) bool { return p.Title == title })
		if i < 0 {
			t.Errorf("no panel %q", title)
			continue
		}
		for _, q := range readDashboard(t).Panels[i].Targets {
			if !strings.Contains(q.Expr, "by (instance, pool)") || !strings.Contains(q.LegendFormat, "{{instance}}") {
				t.Errorf("%s: %s, called %q", title, q.Expr, q.LegendFormat)
			}
		}
	}
}

func TestDashboardPanels(t *testing.T) {
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: id taken or no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.X < 0 || g.W < 1 || g.X+g.W > 24 || g.H < 1 {
			t.Errorf("%s: position %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" {
			checkPanel(t, p)
		}
	}
}

func checkPanel(t *testing.T, p panel) {
	t.Helper()
	if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
		t.Errorf("%s: description %q, unit %q, %d targets, data source %q", p.Title,
			p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets), p.Datasource.UID)
	}
	if len(p.Description) > 0 && !strings.HasSuffix(p.Description, ".") {
		t.Errorf("%s: the description is no sentence", p.Title)
	}
	for _, q := range p.Targets {
		for _, v := range []string{`job=~"$job"`, `instance=~"$instance"`, `pool=~"$pool"`} {
			if selectors := strings.Count(q.Expr, "{"); strings.Count(q.Expr, v) != selectors || selectors == 0 {
				t.Errorf("%s: %s: not every selector has %s", p.Title, q.Expr, v)
			}
		}
		if q.RefID == "" || q.LegendFormat == "" || q.Datasource.UID != "${datasource}" {
			t.Errorf("%s: target %+v", p.Title, q)
		}
	}
}

// Every query is asked of a Prometheus that has scraped a service in trouble:
// it must find something, and the labels that its legend prints.
func TestDashboardQueries(t *testing.T) {
	exported, prom, svc, at := exports(t), newServer(t), healthy(), time.Unix(1_700_000_000, 0)
	for i := range 10 {
		work(&svc.stats, i)
		svc.stats.Hold = svc.stats.Wait
		refused("role limit")(svc, i)
		prom.scrape(t, svc, at)
		at = at.Add(scrapeInterval)
	}
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			if err := exported.check(plain(q.Expr)); err != nil {
				t.Errorf("%s: %v", p.Title, err)
				continue
			}
			checkAnswer(t, p.Title, q, prom.ask(t, plain(q.Expr), at.Add(-scrapeInterval)))
		}
	}
}

func checkAnswer(t *testing.T, title string, q target, answer promql.Vector) {
	t.Helper()
	if len(answer) == 0 || answer[0].F != answer[0].F { // NaN
		t.Errorf("%s: %s answers %v", title, q.Expr, answer)
		return
	}
	for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.LegendFormat, -1) {
		if answer[0].Metric.Get(label[1]) == "" {
			t.Errorf("%s: the answer to %s has no label %s for the legend", title, q.Expr, label[1])
		}
	}
	if len(answer) > 1 && !strings.Contains(q.LegendFormat, "{{") {
		t.Errorf("%s: %d lines are all called %q", title, len(answer), q.LegendFormat)
	}
}
