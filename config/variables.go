package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Variable describes one environment variable that [FromEnv] reads. libpq's
// PG* variables are not among them: PostgreSQL documents those.
type Variable struct {
	// Name is the variable, DB_POOL_SIZE say.
	Name string
	// Default, Production, Development and Serverless are what each preset sets,
	// written as the variable takes it. Empty means nothing is set.
	Default, Production, Development, Serverless string
	// Unit is what a bare number counts: "connections", "seconds",
	// "milliseconds", "percent" and so on. Empty where there are no numbers.
	Unit string
	// Description says what the variable does, in Markdown.
	Description string
	// Field is the field of Config it sets. Empty for DB_ENV, which sets many.
	Field string
}

// Variables returns every variable that [FromEnv] reads, in the order in which
// problems are reported. The caller owns the slice.
func Variables() []Variable {
	vars := []Variable{
		{Name: "DB_ENV", Default: "default", Production: "production", Development: "development", Serverless: "serverless",
			Description: "The preset to start from: `default`, `production` (or `prod`), `development` (or `dev`), `serverless`"},
		{Name: "DATABASE_URL", Field: "DatabaseURL",
			Description: "Where the database is: a `postgres://` URL or libpq's `host=… user=…`. `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, … fill in what it leaves out"},
		{Name: "DB_POOL_NAME", Field: "Name",
			Description: "Tells this pool from others in logs, errors and metrics; replicas of one name in one database are one fleet"},
		{Name: "DB_APPLICATION_NAME", Field: "ApplicationName",
			Description: "What `pg_stat_activity` shows; unset: `application_name` of the connection string, `PGAPPNAME`, or the pool's name"},
		{Name: "DB_POOL_SIZE", Field: "PoolSize", Unit: "connections",
			Description: "Connections kept open; 1 or more"},
		{Name: "DB_MAX_OVERFLOW", Field: "MaxOverflow", Unit: "connections",
			Description: "Further connections under load; `0` means none"},
		{Name: "DB_MIN_IDLE", Field: "MinIdle", Unit: "connections",
			Description: "Connections opened ahead of need and kept idle; at most `DB_POOL_SIZE`"},
		{Name: "DB_POOL_TIMEOUT", Field: "PoolTimeout", Unit: "seconds",
			Description: "The longest wait for a connection; the query's own time does not count"},
		{Name: "DB_POOL_RECYCLE", Field: "PoolRecycle", Unit: "seconds",
			Description: "The age at which a connection is replaced"},
		{Name: "DB_CONNECT_TIMEOUT", Field: "ConnectTimeout", Unit: "seconds",
			Description: "The longest one dial may take, all hosts and authentication included"},
		{Name: "DB_STATEMENT_TIMEOUT", Field: "StatementTimeout", Unit: "milliseconds",
			Description: "The server's `statement_timeout`; `0` leaves the server's own"},
		{Name: "DB_OVERFLOW_LINGER", Field: "OverflowLinger", Unit: "seconds",
			Description: "How long overflow connections stay open after the load; `0` closes them at once"},
		{Name: "DB_MAX_WAITERS", Field: "MaxWaiters", Unit: "callers",
			Description: "Callers that may wait for a connection; one more is refused at once; background tasks are counted apart; `0` means no bound"},
		{Name: "DB_LEAK_THRESHOLD", Field: "LeakThreshold", Unit: "seconds",
			Description: "A connection held longer is reported with its holder; `0` switches that off"},
		{Name: "DB_RECLAIM_AFTER", Field: "ReclaimAfter", Unit: "seconds",
			Description: "A connection held longer without a running statement is taken away from its holder; `0` never does that"},
		{Name: "DB_NESTED", Field: "Nested",
			Description: "When a caller that already holds a connection asks for another: `wait`, `refuse`"},
		{Name: "DB_PIPELINE", Field: "Pipeline",
			Description: "Statements that may share a connection while callers wait: `reads`, `all`, `off`"},
		{Name: "DB_RESET", Field: "Reset",
			Description: "What a caller leaves in a session (`SET`, roles, temporary tables, locks): `off` keeps it, `discard` clears it before the next use"},
		{Name: "DATABASE_READ_URL", Field: "ReadURL",
			Description: "Where the standbys are, for reads that ask for one; `same`: among the hosts of `DATABASE_URL`. Unset: all reads go to the primary"},
		{Name: "DB_READ_SHARE", Field: "ReadShare", Unit: "connections",
			Description: "The part of `DB_POOL_SIZE` + `DB_MAX_OVERFLOW` that is for standbys, with `DATABASE_READ_URL`: `4`, or `50%`"},
		{Name: "DB_READ_WAIT", Field: "ReadWait", Unit: "seconds",
			Description: "How long a read waits for a standby to have what its caller has written, before it goes to the primary; `0` does not wait"},
		{Name: "DB_POOLER", Field: "Pooler",
			Description: "What stands before the server: `auto` finds out, `none`, `pgbouncer`"},
		{Name: "DB_FLEET", Field: "Fleet",
			Description: "When all replicas together could ask for too much: `off`, `warn`, `enforce`"},
		{Name: "DB_FLEET_REPLICAS", Field: "FleetReplicas", Unit: "replicas",
			Description: "How many replicas run; `0` counts the live ones"},
		{Name: "DB_FLEET_SURGE", Field: "FleetSurge", Unit: "replicas",
			Description: "How many more a rolling deploy adds for a while"},
		{Name: "DB_FLEET_BUDGET", Field: "FleetBudget", Unit: "connections",
			Description: "This service's part of the server: `40`, or `50%`; unset: all of it"},
		{Name: "DB_FLEET_KEYSPACE", Field: "FleetKeySpace",
			Description: "The first byte of the fleet's advisory locks, 1 to 255; the same for all services that share a server"},
		{Name: "ENABLE_POOL_MONITORING", Field: "PoolMonitoring",
			Description: "The monitor's log lines and background probes: `true` or `false`"},
		{Name: "LOG_POOL_STATUS_INTERVAL", Field: "LogPoolStatusInterval", Unit: "seconds",
			Description: "The time between two status log lines"},
		{Name: "MAX_CONNECTION_WARNINGS", Field: "MaxConnectionWarnings", Unit: "percent",
			Description: "The usage at which the monitor warns; 1 to 100"},
	}
	standard, production, development, serverless := Default(), Production(), Development(), Serverless()
	for i, v := range vars {
		if v.Field == "" {
			continue
		}
		vars[i].Default = v.text(standard)
		vars[i].Production = v.text(production)
		vars[i].Development = v.text(development)
		vars[i].Serverless = v.text(serverless)
	}
	return vars
}

// VariablesMarkdown returns the table of variables for a document: name,
// default, unit, and what it does.
func VariablesMarkdown() string {
	var b strings.Builder
	b.WriteString("| Variable | Default | Unit | Description |\n|---|---|---|---|\n")
	for _, v := range Variables() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.Name, v.defaults(), v.Unit, v.Description)
	}
	return b.String()
}

// defaults is the table's cell: the default, and the presets that differ.
func (v Variable) defaults() string {
	if v.Default == "" {
		return ""
	}
	cell := "`" + v.Default + "`"
	if v.Field == "" {
		return cell
	}
	var others []string
	for _, preset := range []struct{ name, value string }{{"production", v.Production}, {"development", v.Development}, {"serverless", v.Serverless}} {
		if preset.value != v.Default {
			others = append(others, fmt.Sprintf("%s `%s`", preset.name, preset.value))
		}
	}
	if others == nil {
		return cell
	}
	return cell + " (" + strings.Join(others, ", ") + ")"
}

// text writes c's setting as the variable takes it.
func (v Variable) text(c Config) string {
	switch value := v.value(c).(type) {
	case time.Duration:
		return bareNumber(value, v.Unit)
	default:
		return fmt.Sprint(value)
	}
}

// value is c's setting in its own type.
func (v Variable) value(c Config) any {
	return reflect.ValueOf(c).FieldByName(v.Field).Interface()
}

// bareNumber writes a duration as a number of its variable's unit where that
// comes out even, and as a Go duration otherwise.
func bareNumber(d time.Duration, unit string) string {
	one := time.Second
	if unit == "milliseconds" {
		one = time.Millisecond
	}
	if d%one != 0 {
		return d.String()
	}
	return strconv.FormatInt(int64(d/one), 10)
}
