package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/doctor"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
)

const doctorDescription = `Tell whether a fleet of services fits its database, what is in the way, and what to set.

  dbmonitor doctor                            the database of DATABASE_URL or PGHOST, PGUSER, …
  dbmonitor doctor postgres://app@db/app      that database
  dbmonitor doctor http://your-server         through a running service, without a connection of its own
  dbmonitor doctor --replicas 8 --pool-size 5 --max-overflow 5

It opens one connection, reads only, and needs no privilege: what other roles do is then hidden from it, how many sessions
they have is not. The pool's size and the number of replicas are those of the environment (DB_POOL_SIZE, DB_MAX_OVERFLOW,
DB_FLEET, DB_FLEET_REPLICAS, DB_FLEET_SURGE, DB_FLEET_BUDGET, DB_ENV) unless flags say otherwise.

Exit codes:
  0  healthy      the fleet fits, and nothing is in the way
  1  warning      it does not fit during a rolling deploy, budgets overlap, the server is nearly full,
                  or sessions are idle in a transaction, run long or wait for locks
  2  critical     the replicas that run now can ask for more than there is, or no slot is left
  3  unreachable  no answer, wrong user or password, no such database
  64 wrong command line or settings, 74 output cannot be written`

// doctorCmd examines a database. Its flags are for what the environment of the
// service would say.
type doctorCmd struct {
	URL         string  `arg:"" optional:"" name:"url" help:"DATABASE_URL of the service, as URL or keywords; or the http:// URL of the running service."`
	Application string  `placeholder:"NAME" help:"The fleet's application_name. Default: of the environment, else the one with most sessions."`
	Pool        *string `placeholder:"NAME" help:"The pool's name, by which live replicas are counted. Default: DB_POOL_NAME, else db."`
	Replicas    *int    `placeholder:"N" help:"How many replicas run. Default: DB_FLEET_REPLICAS, else those that can be seen."`
	Surge       *int    `placeholder:"N" help:"How many more a rolling deploy adds. Default: DB_FLEET_SURGE, else 1."`
	PoolSize    *int    `placeholder:"N" help:"Default: DB_POOL_SIZE."`
	MaxOverflow *int    `placeholder:"N" help:"Default: DB_MAX_OVERFLOW."`
	Budget      *string `placeholder:"N|N%" help:"The service's part of the server. Default: DB_FLEET_BUDGET."`
	SQL         bool    `name:"sql" help:"Show the texts of running statements, without literals."`
	JSON        bool    `name:"json" help:"Print one JSON object on one line."`
	Timeout     span    `default:"5" placeholder:"SECONDS" help:"How long all of it may take. Default 5s."`
	Token       string  `placeholder:"TOKEN" help:"For a guarded status page. Better set DBMONITOR_TOKEN."`
}

func (d doctorCmd) run(ctx context.Context, env environment, t terminal) int {
	examine := d.database
	if isService(d.URL) {
		examine = d.service
	}
	target, c, err := examine(ctx, env)
	var refused *doctor.Refused
	switch {
	case errors.As(err, &refused):
		return d.refuse(t, target, refused)
	case err != nil:
		return misuse(t.err, err)
	case ctx.Err() != nil:
		return exitInterrupted
	}
	diagnosis := doctor.Diagnose(c)
	write := func() error { return diagnosis.Write(t.out, report.Text{Color: t.color(env)}) }
	if d.JSON {
		write = func() error { return diagnosis.WriteJSON(t.out) }
	}
	if write() != nil {
		return exitOutput
	}
	return diagnosis.Level.ExitCode()
}

// isService tells the address of a service from that of a database: an http://
// URL, or host:port with or without a path, as dbmonitor itself takes them.
func isService(url string) bool {
	scheme, _, ok := strings.Cut(strings.ToLower(strings.TrimSpace(url)), "://")
	if ok {
		return strings.HasPrefix(scheme, "http")
	}
	authority, _, _ := strings.Cut(strings.TrimSpace(url), "/")
	_, port, err := net.SplitHostPort(authority)
	_, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && !strings.ContainsAny(url, "@= ")
}

// refuse prints why there is no diagnosis.
func (d doctorCmd) refuse(t terminal, target string, r *doctor.Refused) int {
	var err error
	if d.JSON {
		err = doctor.WriteRefusedJSON(t.out, target, r)
	} else {
		_, err = fmt.Fprintf(t.out, "%s  %s: %s\n", r.Level.Word(), target, r.Text)
	}
	if err != nil {
		return exitOutput
	}
	return r.Level.ExitCode()
}

func (d doctorCmd) service(ctx context.Context, env environment) (string, doctor.Case, error) {
	if err := d.check(); err != nil {
		return "", doctor.Case{}, err
	}
	target, err := source.ParseTarget(d.URL)
	if err != nil {
		return "", doctor.Case{}, err
	}
	token := d.Token
	if token == "" {
		token = env["DBMONITOR_TOKEN"]
	}
	if err := source.CheckToken(token); err != nil {
		return "", doctor.Case{}, err
	}
	client := source.NewClient(target, token, time.Duration(d.Timeout))
	defer client.Close()
	c, err := doctor.ExamineService(client.Fetch(ctx, -1), doctor.Fleet{
		Application: d.Application, Replicas: d.Replicas, Surge: d.Surge, PoolSize: d.PoolSize, MaxOverflow: d.MaxOverflow, Budget: d.Budget,
	})
	return target.Name, c, err
}

// check refuses for a service what the settings' own checks refuse for a
// database: the flags are checked as the variables they stand for.
func (d doctorCmd) check() error {
	_, err := config.From(d.overlay(environment{"DATABASE_URL": "postgres://localhost/"}))
	return err
}

func (d doctorCmd) database(ctx context.Context, env environment) (string, doctor.Case, error) {
	cfg, err := config.From(d.overlay(env))
	if err != nil {
		return "", doctor.Case{}, err
	}
	target := source.Sanitize(cfg.DatabaseURL.Redacted(), 200)
	c, err := doctor.ExamineDatabase(ctx, doctor.Order{
		Config: cfg, Application: d.Application, Sized: d.sized(env), Timeout: time.Duration(d.Timeout), SQL: d.SQL,
	})
	return target, c, err
}

// overlay is the environment with the flags as the variables they stand for, so
// that both are read, checked and explained in one place.
func (d doctorCmd) overlay(env environment) map[string]string {
	all := map[string]string{}
	maps.Copy(all, env)
	if d.URL != "" && !isService(d.URL) {
		all["DATABASE_URL"] = d.URL
	}
	for name, n := range map[string]*int{
		"DB_FLEET_REPLICAS": d.Replicas, "DB_FLEET_SURGE": d.Surge, "DB_POOL_SIZE": d.PoolSize, "DB_MAX_OVERFLOW": d.MaxOverflow,
	} {
		if n != nil {
			all[name] = strconv.Itoa(*n)
		}
	}
	for name, s := range map[string]*string{"DB_FLEET_BUDGET": d.Budget, "DB_POOL_NAME": d.Pool} {
		if s != nil {
			all[name] = *s
		}
	}
	return all
}

// sized says where the pool's size comes from.
func (d doctorCmd) sized(env environment) string {
	switch {
	case d.PoolSize != nil || d.MaxOverflow != nil:
		return "as given"
	case env["DB_POOL_SIZE"]+env["DB_MAX_OVERFLOW"]+env["DB_ENV"] != "":
		return "as the environment says"
	default:
		return "by default; --pool-size and --max-overflow say otherwise"
	}
}
