package doctor

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/sample"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/serverview"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fitting is a small fleet on a large server.
func fitting() Case {
	return Case{
		Target: "postgres://app:xxxxx@db:5432/app", Self: 1,
		View: &serverview.View{
			Version: "18.4", Role: "app", Database: "app", MaxConnections: 100, SuperuserReserved: 3, RoleLimit: -1, DatabaseLimit: -1, SeesAll: true,
			Usable: 97, Free: 82, UsagePercent: 15.4, BoundBy: serverview.BoundServer, Sessions: 15, RoleSessions: 15, DatabaseSessions: 15,
			Applications: []serverview.Application{{Name: "orders", Sessions: 12, RoleSessions: 12, Active: 2, Idle: 10}, {Name: "psql", Sessions: 2, Idle: 2}, {Name: "dbmonitor", Sessions: 1, Active: 1}},
		},
		Application: "orders", Chosen: "as the environment says", Sized: "as the environment says", Counted: "counted live",
		Ask:        fleet.Ask{Replicas: 3, Surge: 1, PoolSize: 5, MaxOverflow: 5},
		Thresholds: Thresholds{Idle: time.Minute, Slow: 30 * time.Second, Lock: time.Second, Usage: 80},
	}
}

// troubled is what an operator calls a doctor for: everything at once.
func troubled() Case {
	c := fitting()
	v := c.View
	v.MaxConnections, v.Reserved, v.RoleLimit, v.SeesAll = 30, 2, 28, false
	v.Usable, v.Free, v.UsagePercent, v.Sessions, v.RoleSessions, v.DatabaseSessions = 25, 2, 92, 23, 21, 23
	v.Applications = []serverview.Application{
		{Name: "orders", Sessions: 18, RoleSessions: 18, Active: 15, Idle: 2, IdleInTransaction: 1}, {Name: "billing", Sessions: 2, Hidden: 2},
		{Name: "", Sessions: 2, Idle: 2}, {Name: "dbmonitor", Sessions: 1, Active: 1},
	}
	c.Ask = fleet.Ask{Replicas: 5, Surge: 1, PoolSize: 5, MaxOverflow: 5}
	c.Queries = []serverview.Query{
		{PID: 4690, Role: "app", Database: "app", ApplicationName: "orders", State: "idle in transaction", WaitingFor: "Client: ClientRead", QuerySeconds: 723, TransactionSeconds: 730, Text: "update stock set n = ?"},
		{PID: 4700, Role: "app", Database: "app", ApplicationName: "orders", State: "active", WaitingFor: "IO: DataFileRead", QuerySeconds: 95, TransactionSeconds: 95, Text: "select * from report"},
		{PID: 4711, Role: "app", Database: "app", ApplicationName: "orders", State: "active", WaitingFor: "Lock: transactionid", BlockedBy: []uint32{4690}, QuerySeconds: 12, TransactionSeconds: 12},
	}
	c.View.LockWaits = []serverview.LockWait{
		{PID: 4711, Application: "orders", Role: "app", Mode: "ShareLock", Kind: "transactionid", Seconds: 12, BlockedBy: []uint32{4690}, HeldBy: []serverview.LockHolder{{PID: 4690, Application: "orders", Role: "app", State: "idle in transaction", StateSeconds: 723, TransactionSeconds: 730}}},
		{PID: 4712, Application: "orders", Role: "app", Mode: "ExclusiveLock", Kind: "tuple", Relation: "stock", Seconds: 3, BlockedBy: []uint32{4711}, HeldBy: []serverview.LockHolder{{PID: 4711, Application: "orders", Role: "app", State: "active", Waits: true, TransactionSeconds: 12}}},
	}
	return c
}

func TestScreens(t *testing.T) {
	enforced := troubled()
	enforced.Ask.Enforced, enforced.Queries, enforced.View.LockWaits = true, nil, nil
	for name, tt := range map[string]struct {
		c     Case
		level report.Level
	}{
		"fits":     {fitting(), report.Healthy},
		"troubled": {troubled(), report.Critical},
		"enforced": {enforced, report.Warning}, // it fits; the server is nearly full
	} {
		t.Run(name, func(t *testing.T) {
			d := Diagnose(tt.c)
			if d.Level != tt.level {
				t.Errorf("level %s, want %s", d.Level, tt.level)
			}
			var out bytes.Buffer
			if err := d.Write(&out, report.Text{}); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out.String(), "\n"); n > 50 {
				t.Errorf("%d lines are more than a screen", n)
			}
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s differs; run with -update and look at the diff. Got:\n%s", path, out.Bytes())
			}
		})
	}
}

func TestDiagnose(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Case)
		code   string
		level  report.Level
		text   string
	}{
		"too large":       {func(c *Case) { c.Ask.Replicas = 20 }, "fleet_too_large", report.Critical, "200 connections, and 95 are usable"},
		"deploy":          {func(c *Case) { c.Ask.Replicas = 9 }, "deploy_too_large", report.Warning, "100 connections, and 95 are usable"},
		"full":            {func(c *Case) { c.View.Free, c.Self = 0, 0 }, "server_full", report.Critical, "no slot is left for role app"},
		"nearly full":     {func(c *Case) { c.View.UsagePercent = 80 }, "server_usage_high", report.Warning, "80 %"},
		"full for others": {func(c *Case) { c.View.Superuser, c.View.Sessions = true, 98 }, "server_full", report.Critical, "not superusers"},
		"overclaimed":     {func(c *Case) { c.Ask.Budget, c.Claimed = "60", 60 }, "overclaimed", report.Warning, "add up"},
		"idle": {func(c *Case) {
			c.Queries = []serverview.Query{{PID: 7, State: "idle in transaction (aborted)", QuerySeconds: 60}}
		}, "idle_in_transaction", report.Warning, "pid 7, (no name)"},
		"slow": {func(c *Case) { c.Queries = []serverview.Query{{PID: 7, State: "active", QuerySeconds: 30}} }, "slow_queries", report.Warning, "pid 7"},
		"service": {func(c *Case) {
			c.Problems = []statusjson.Problem{{Code: "stuck", Severity: statusjson.SeverityCritical, Message: "no"}}
		}, "service_stuck", report.Critical, "the service says: no"},
		"standby":   {func(c *Case) { c.View.InRecovery = true }, "standby", report.Healthy, "standby"},
		"stale":     {func(c *Case) { c.Age = time.Hour }, "stale", report.Healthy, "1h ago"},
		"unseen":    {func(c *Case) { c.QueryError = "why" }, "unseen", report.Healthy, "why"},
		"superuser": {func(c *Case) { c.View.Superuser = true }, "superuser", report.Healthy, "superuser"},
	} {
		t.Run(name, func(t *testing.T) {
			c := fitting()
			tt.change(&c)
			d := Diagnose(c)
			finds(t, d, tt.code, tt.level, tt.text)
			if len(d.Findings) == 1 && d.Level != tt.level {
				t.Errorf("level %s", d.Level)
			}
		})
	}
}

// What is just below each threshold is nothing to report.
func TestDiagnoseKeepsQuiet(t *testing.T) {
	c := fitting()
	c.Ask.Replicas = 8 // with the surge 90 of 95
	c.View.UsagePercent = 79.9
	c.Queries = []serverview.Query{{State: "idle in transaction", QuerySeconds: 59.9}, {State: "active", QuerySeconds: 29.9}}
	c.View.LockWaits = []serverview.LockWait{{Seconds: 0.9}}
	if d := Diagnose(c); d.Level != report.Healthy || len(d.Findings) > 0 {
		t.Errorf("%s %+v", d.Level, d.Findings)
	}
}

// The session to end is the one that waits for nobody.
func TestCulprits(t *testing.T) {
	found := troubled().View.Blockers()
	if len(found) != 1 || found[0].PID != 4690 || len(found[0].Blocks) != 2 {
		t.Errorf("%+v", found)
	}
	ends := 0
	for _, r := range Diagnose(troubled()).Remedies {
		if strings.Contains(r.Text, "pg_terminate_backend(4690)") && r.Kind == EndSession {
			ends++
		}
	}
	if ends != 1 {
		t.Errorf("4690 is ended %d times", ends)
	}
	if d := Diagnose(troubled()); strings.Contains(fmt.Sprint(d.Remedies), "(4711)") || strings.Contains(fmt.Sprint(d.Remedies), "(4712)") {
		t.Errorf("a victim is to be ended or cancelled: %v", d.Remedies)
	}
}

// Names go into SQL as identifiers and nothing else.
func TestRemediesQuoteNames(t *testing.T) {
	c := troubled()
	const name = `app"; drop role admin; --`
	c.View.Role, c.Queries[0].Role, c.View.RoleLimit = name, name, 20
	for _, r := range Diagnose(c).Remedies {
		if strings.Contains(r.Text, "drop role") && !strings.Contains(r.Text, `ROLE "app""; drop role admin; --" `) {
			t.Errorf("%s", r.Text)
		}
	}
}

func TestExamineService(t *testing.T) {
	snap := func(s *statusjson.Status) source.Snapshot {
		return source.Snapshot{Target: "http://h", Status: s, Health: &s.Health}
	}
	c, err := ExamineService(snap(sample.Busy()), Fleet{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Application != "orders" || c.Ask.PoolSize != 5 || c.Ask.MaxOverflow != 5 || c.Ask.Replicas != 1 || c.Self != 0 || c.View == nil {
		t.Errorf("%+v", c)
	}
	d := Diagnose(c)
	finds(t, d, "service_leak", report.Warning, "the service says: ")
	finds(t, d, "idle_in_transaction", report.Warning, "pid 4690")
	eight, two := 8, 2
	if c, _ := ExamineService(snap(sample.Busy()), Fleet{Replicas: &eight, Surge: &two, PoolSize: &two, Application: "x"}); c.Ask.Replicas != 8 || c.Ask.Surge != 2 || c.Ask.PoolSize != 2 || c.Ask.MaxOverflow != 5 || c.Application != "x" {
		t.Errorf("%+v", c.Ask)
	}
	c, err = ExamineService(snap(sample.Crowded()), Fleet{})
	if err != nil || c.Ask.Replicas != 5 || c.Ask.Surge != 1 || c.Counted != "as the service counts them" {
		t.Errorf("%v, %+v, %s", err, c.Ask, c.Counted)
	}
	budgeted := sample.Healthy()
	budgeted.Settings.FleetBudget, budgeted.Settings.FleetSurge = "12", 2
	if c, _ := ExamineService(snap(budgeted), Fleet{}); c.Ask.Budget != "12" || c.Ask.Surge != 2 {
		t.Errorf("the service's own budget and surge: %+v", c.Ask)
	}
	third := "33%"
	if c, _ := ExamineService(snap(budgeted), Fleet{Budget: &third}); c.Ask.Budget != "33%" {
		t.Errorf("a flag wins: %+v", c.Ask)
	}
	budgeted.Settings.FleetBudget = "<b>12</b>"
	if c, _ := ExamineService(snap(budgeted), Fleet{}); c.Ask.Budget != "" {
		t.Errorf("what is no budget was taken for one: %+v", c.Ask)
	}
	budgeted.Fleet, budgeted.Settings.Fleet, budgeted.Settings.FleetReplicas = nil, "off", 7
	if c, _ := ExamineService(snap(budgeted), Fleet{}); c.Ask.Replicas != 7 || c.Counted != "as the service says" {
		t.Errorf("the service's own number of replicas: %+v", c)
	}
	d = Diagnose(c)
	finds(t, d, "fleet_too_large", report.Critical, "it may ask for 50 connections")
	for _, f := range d.Findings {
		if f.Code == "service_fleet_misfit" {
			t.Errorf("said twice: %s", f.Text)
		}
	}
	for name, s := range map[string]source.Snapshot{
		"the database cannot be reached": snap(sample.Down()),
		"only /health":                   {Health: &sample.Busy().Health, Notes: []string{"only /health could be had: why"}},
		"refused; check":                 {Failure: &source.Failure{What: "refused", Remedy: "check"}},
	} {
		if _, err := ExamineService(s, Fleet{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	var out bytes.Buffer
	if err := Diagnose(troubled()).WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.ExitCode != 2 || doc.Fits || doc.Need != 60 || len(doc.Findings) < 4 || len(doc.LockWaits) != 2 || doc.Server.Usable != 25 || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%s", out.String())
	}
	out.Reset()
	if err := WriteRefusedJSON(&out, "x", &Refused{report.Critical, "full"}); err != nil || !strings.Contains(out.String(), `"exit_code":2,"error":"full"`) {
		t.Errorf("%v %s", err, out.String())
	}
}

// FuzzDiagnose judges hostile statuses: printable lines, never a panic.
func FuzzDiagnose(f *testing.F) {
	for _, s := range []*statusjson.Status{sample.Healthy(), sample.Busy()} {
		doc, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
		f.Add(bytes.ReplaceAll(doc, []byte(`":1`), []byte(`":-9223372036854775808`)))
		f.Add(bytes.ReplaceAll(doc, []byte(`":2`), []byte(`":9223372036854775807`)))
		f.Add(bytes.ReplaceAll(doc, []byte(`orders`), []byte(`\u001b[2J\u202e\n`)))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var s statusjson.Status
		if json.Unmarshal(doc, &s) != nil {
			return
		}
		source.SanitizeAll(&s)
		c, err := ExamineService(source.Snapshot{Status: &s, Health: &s.Health}, Fleet{})
		if err != nil {
			return
		}
		var out bytes.Buffer
		d := Diagnose(c)
		if err := d.Write(&out, report.Text{}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("unprintable: %q", out.String())
		}
		if err := d.WriteJSON(&out); err != nil {
			t.Error(err)
		}
	})
}
