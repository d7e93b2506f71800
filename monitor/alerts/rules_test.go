package alerts

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

const rulesFile = "dbpool.rules.yml"

// ruleFile is the file as promtool check rules reads it.
func ruleFile(t *testing.T) []rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.LegacyValidation, promQL(), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func promQL() parser.Parser { return parser.NewParser(parser.Options{}) }

func TestRules(t *testing.T) {
	exported, sections, seen := exports(t), headings(t), map[string]bool{}
	for _, r := range ruleFile(t) {
		if seen[r.Alert] || !strings.HasPrefix(r.Alert, "DBPool") {
			t.Errorf("%q: the name is taken, or does not say whose it is", r.Alert)
		}
		seen[r.Alert] = true
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		for _, a := range []string{"summary", "description", "runbook_url"} {
			if r.Annotations[a] == "" {
				t.Errorf("%s: no %s", r.Alert, a)
			}
		}
		if anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], published+page+"#"); !ok || !sections[anchor] {
			t.Errorf("%s: %s has no section for %s", r.Alert, page, r.Annotations["runbook_url"])
		}
		if err := exported.check(r.Expr); err != nil {
			t.Errorf("%s: %v", r.Alert, err)
		}
	}
}

// page is where runbooks are, and published where that is on the web.
const (
	page      = "docs/troubleshooting.md"
	published = "https://github.com/dbpool-go/dbpool/blob/main/"
)

// headings are the anchors of the page's sections.
func headings(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(text), -1) {
		words := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(h[1]), "")
		out[strings.ReplaceAll(words, " ", "-")] = true
	}
	return out
}

// exported is every series that the collector exports, by name.
type exported map[string][]labels.Labels

// exports scrapes a service once, with everything switched on.
func exports(t *testing.T) exported {
	t.Helper()
	e, svc := exported{}, healthy()
	svc.stats.LastDialError = dialError()
	text, contentType := svc.scrape(t)
	for _, s := range parse(t, text, contentType) {
		name := s.labels.Get(model.MetricNameLabel)
		e[name] = append(e[name], s.labels)
	}
	return e
}

// check reports the first selector of expr that can select nothing: a metric
// that is not exported, or a label's value that never occurs.
func (e exported) check(expr string) error {
	parsed, err := promQL().ParseExpr(expr)
	if err != nil {
		return err
	}
	for _, selector := range parser.ExtractSelectors(parsed) {
		if err := e.selects(selector); err != nil {
			return err
		}
	}
	return nil
}

func (e exported) selects(selector []*labels.Matcher) error {
	var name string
	for _, m := range selector {
		if m.Name == model.MetricNameLabel {
			name = m.Value
		}
	}
	if len(e[name]) == 0 {
		return fmt.Errorf("%q is not exported", name)
	}
	for _, m := range selector {
		for _, alternative := range alternatives(m) {
			if err := e.has(name, m, alternative); err != nil {
				return err
			}
		}
	}
	return nil
}

// alternatives takes a|b|c apart, so that one misspelt word does not hide
// behind the others. Values that the scrape or the dashboard brings are not ours to check.
func alternatives(m *labels.Matcher) []string {
	switch {
	case m.Name == "job" || m.Name == "instance" || m.Name == "pool":
		return nil
	case m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp:
		return strings.Split(m.Value, "|")
	default:
		return []string{m.Value}
	}
}

func (e exported) has(name string, m *labels.Matcher, want string) error {
	for _, ls := range e[name] {
		if ls.Get(m.Name) == want {
			return nil
		}
	}
	return fmt.Errorf("%s has no series with %s=%q", name, m.Name, want)
}

// The check must be able to fail.
func TestCheckFindsMistakes(t *testing.T) {
	e := exports(t)
	for _, expr := range []string{
		`dbpool_in_use > 1`,
		`rate(dbpool_acquires_total{result="refused"}[5m])`,
		`dbpool_server_refusing{reason=~"server full|rolelimit"}`,
		`dbpool_connections{`,
	} {
		if e.check(expr) == nil {
			t.Errorf("%s passes", expr)
		}
	}
	if err := e.check(`sum(rate(dbpool_wait_seconds_bucket{pool="any"}[5m])) by (le)`); err != nil {
		t.Error(err)
	}
}
