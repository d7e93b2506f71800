package pool

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// pgBouncerINI is the configuration that docs/pgbouncer.md recommends.
func pgBouncerINI(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("testdata/pgbouncer.ini")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What the document recommends is what TestTheDocumentsPgBouncer runs.
func TestDocumentHoldsThePgBouncerConfiguration(t *testing.T) {
	page, err := os.ReadFile("../docs/pgbouncer.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```ini\n"+pgBouncerINI(t)+"```\n") {
		t.Error("the PgBouncer configuration in docs/pgbouncer.md is not testdata/pgbouncer.ini")
	}
}

// poolerSettings are all settings of the file but those that say where a pooler
// listens and whom it lets in.
func poolerSettings(t *testing.T) map[string]string {
	t.Helper()
	settings := map[string]string{}
	_, section, _ := strings.Cut(pgBouncerINI(t), "[pgbouncer]")
	for lines := bufio.NewScanner(strings.NewReader(section)); lines.Scan(); {
		name, value, found := strings.Cut(lines.Text(), " = ")
		own := strings.HasPrefix(name, ";") || strings.HasPrefix(name, "listen_") || strings.HasPrefix(name, "auth_")
		if found && !own {
			settings[name] = value
		}
	}
	return settings
}

// The document's PgBouncer lets six replicas of 5+5 work on ten sessions of a
// server that has 17 for them.
func TestTheDocumentsPgBouncer(t *testing.T) {
	t.Parallel()
	srv := smallServer(t)
	settings := poolerSettings(t)
	if len(settings) < 5 {
		t.Fatalf("only %v", settings)
	}
	bouncer := pgtest.StartPgBouncer(t, srv, pgtest.PgBouncerOptions{Mode: settings["pool_mode"], Settings: settings})
	cfg := inFleet(bouncer.DSN("postgres", "app", ""), "orders")
	cfg.Fleet, cfg.FleetBudget, cfg.FleetReplicas, cfg.Pooler = config.FleetWarn, "70", 6, config.PoolerPgBouncer
	fleet := deploy(t, 6, cfg)
	for _, r := range fleet {
		r.work(10, 20*time.Millisecond, 0)
	}
	reach(t, "start", fleet, 10, 60)
	most := 0
	for range 50 {
		n, err := srv.QueryInt(t.Context(), "select count(*) from pg_stat_activity where usename = 'app'")
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, n)
		time.Sleep(20 * time.Millisecond)
	}
	if most != 10 {
		t.Errorf("up to %d sessions on the server; the pooler's part is 10, and it is busy", most)
	}
	for _, r := range fleet {
		r.fleetCheck.round(t.Context())
		if f := r.Stats().Fleet; !f.Fits || f.Need != 70 || f.Usable != 70 {
			t.Errorf("%+v", f)
		}
	}
	var n int
	if err := fleet[0].QueryRowContext(t.Context(), "select $1::int + 1", 41).Scan(&n); err != nil || n != 42 {
		t.Errorf("a statement with arguments: %d, %v", n, err)
	}
	if work := served(fleet); slices.Min(work) == 0 {
		t.Errorf("starved: %v", work)
	}
	wantNoFailures(t, fleet)
	wantNeverFull(t, srv)
}
