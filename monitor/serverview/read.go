package serverview

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
)

// Querier is what Read needs: *sql.DB, *sql.Conn, *sql.Tx and *pool.Pool have it.
// Over a transaction-pooling PgBouncer it must not use named prepared statements
// (pgx: default_query_exec_mode=exec); a *pool.Pool sees to that by itself.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

//go:embed view.sql
var viewSQL string

// Read asks the server for its View, in one read-only statement. The context
// bounds it. Errors are the driver's, wrapped.
func Read(ctx context.Context, q Querier) (View, error) {
	var doc string
	if err := q.QueryRowContext(ctx, viewSQL).Scan(&doc); err != nil {
		return View{}, fmt.Errorf("serverview: %w", err)
	}
	return parse(doc)
}

func parse(doc string) (View, error) {
	var v View
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		return View{}, fmt.Errorf("serverview: unexpected answer: %w", err)
	}
	v.reckon()
	return v, nil
}

// ceiling is the most sessions everybody together may have for this role still
// to be let in.
func (v View) ceiling() int {
	switch {
	case v.Superuser:
		return v.MaxConnections
	case v.MayUseReserved:
		return v.MaxConnections - v.SuperuserReserved
	default:
		return v.MaxConnections - v.SuperuserReserved - v.Reserved
	}
}

// reckon fills in what follows from the figures read: Usable, Free,
// UsagePercent, BoundBy, OtherApps.
func (v *View) reckon() {
	v.Usable, v.Free = max(v.ceiling(), 0), max(v.ceiling()-v.Sessions, 0)
	v.UsagePercent, v.BoundBy = percent(v.Sessions, v.ceiling()), BoundServer
	v.OtherApps = v.Sessions
	for _, a := range v.Applications {
		v.OtherApps -= a.Sessions
	}
	if v.Superuser {
		return
	}
	v.limit(v.RoleLimit, v.RoleSessions, BoundRole)
	v.limit(v.DatabaseLimit, v.DatabaseSessions, BoundDatabase)
}

// limit narrows the reckoning by a CONNECTION LIMIT; a negative one is none.
func (v *View) limit(most, used int, by Bound) {
	if most < 0 {
		return
	}
	v.Usable, v.Free = min(v.Usable, most), min(v.Free, max(most-used, 0))
	if p := percent(used, most); p > v.UsagePercent {
		v.UsagePercent, v.BoundBy = p, by
	}
}

func percent(used, of int) float64 {
	if of <= 0 {
		return 100
	}
	return 100 * float64(used) / float64(of)
}
