package doctor

import (
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Fleet is what the command line says about the fleet; nil and empty leave it
// to the service.
type Fleet struct {
	Application           string
	Replicas, Surge       *int
	PoolSize, MaxOverflow *int
	Budget                *string
}

// mostReplicas is PostgreSQL's highest max_connections; no fleet has more.
const mostReplicas = 262143

// ExamineService takes the case from what a running service says, without a
// connection of its own. The error is a *Refused.
func ExamineService(s source.Snapshot, f Fleet) (Case, error) {
	switch {
	case s.Failure != nil:
		return Case{}, unreachable(s.Failure.Error())
	case s.Status == nil:
		return Case{}, unreachable("the status page is needed, and could not be had" + notes(s))
	}
	st := s.Status
	c := Case{
		Target: s.Target, View: st.Server.View, Problems: st.Health.Problems, Pooler: st.Pooler != "",
		Queries: st.Queries.Longest, QueryError: st.Queries.Error, Wrong: st.Health.Diagnosis,
		Age:         time.Duration(st.Server.AgeSeconds * float64(time.Second)),
		Application: st.ApplicationName, Chosen: "as the service says", Sized: "as the service says",
		Thresholds: Thresholds{
			Idle: seconds(st.Settings.LeakThresholdSeconds, time.Minute), Slow: seconds(st.Settings.StatementTimeoutSeconds, 30*time.Second),
			Lock: time.Second, Usage: st.Pool.ThresholdPercent,
		},
	}
	if c.View == nil {
		return Case{}, blind(st)
	}
	if f.Application != "" {
		c.Application, c.Chosen = f.Application, "as given"
	}
	c.askOf(st, f)
	return c, nil
}

// blind explains why a service cannot say anything of its server.
func blind(st *statusjson.Status) *Refused {
	r := unreachable("the service has no view of the server: " + orUnknown(st.Server.Error))
	for _, p := range st.Health.Problems {
		if p.Severity == statusjson.SeverityCritical {
			r.Level = report.Critical
			r.Text += "; it says: " + p.Message
		}
	}
	return r
}

func (c *Case) askOf(st *statusjson.Status, f Fleet) {
	c.Ask = fleet.Ask{
		PoolSize: st.Pool.Size, MaxOverflow: st.Pool.MaxOverflow, Surge: config.Default().FleetSurge,
		Enforced: st.Settings.Fleet == string(config.FleetEnforce), Budget: budgetOf(st),
	}
	if n := st.Settings.FleetSurge; 0 <= n && n <= mostReplicas {
		c.Ask.Surge = n
	}
	for _, set := range []struct{ to, from *int }{{&c.Ask.PoolSize, f.PoolSize}, {&c.Ask.MaxOverflow, f.MaxOverflow}, {&c.Ask.Surge, f.Surge}} {
		if set.from != nil {
			*set.to = *set.from
		}
	}
	if f.PoolSize != nil || f.MaxOverflow != nil {
		c.Sized = "as given"
	}
	if f.Budget != nil {
		c.Ask.Budget = config.Share(*f.Budget)
	}
	if f.Replicas != nil && *f.Replicas > 0 {
		c.Ask.Replicas, c.Counted = *f.Replicas, "as declared"
		return
	}
	if seen := st.Fleet; seen != nil && seen.Fits != nil && 0 < seen.Replicas && seen.Replicas <= mostReplicas {
		c.Ask.Replicas, c.Counted = seen.Replicas, "as the service counts them"
		return
	}
	if n := st.Settings.FleetReplicas; 0 < n && n <= mostReplicas {
		c.Ask.Replicas, c.Counted = n, "as the service says"
		return
	}
	c.Ask.Replicas = atLeast(c.ours(), c.Ask.PoolSize+c.Ask.MaxOverflow)
	c.Counted = "at least, by the sessions there are; --replicas says how many run"
}

// budgetOf is the service's own budget. What cannot be one, by the rules for
// the service's variable, is left out: the answer may be anybody's.
func budgetOf(st *statusjson.Status) config.Share {
	c := config.Default()
	c.DatabaseURL, c.FleetBudget = "postgres://localhost/", config.Share(st.Settings.FleetBudget)
	if c.Validate() != nil {
		return ""
	}
	return c.FleetBudget
}

func notes(s source.Snapshot) string {
	if len(s.Notes) == 0 {
		return ""
	}
	return ": " + s.Notes[0]
}

func orUnknown(s string) string {
	if s == "" {
		return "it was not asked yet; try again in a moment"
	}
	return s
}

func seconds(s float64, otherwise time.Duration) time.Duration {
	if !(s > 0 && s < 1e6) {
		return otherwise
	}
	return time.Duration(s * float64(time.Second))
}
