package sqlcform

import (
	"context"
)

const addTurn = `-- name: AddTurn :exec
insert into turns (caller) values ($1)
`

// AddTurn runs the statement of that name.
func (q *Queries) AddTurn(ctx context.Context, caller int32) error {
	_, err := q.db.ExecContext(ctx, addTurn, caller)
	return err
}

const countSessions = `-- name: CountSessions :one
select count(*) from pg_stat_activity, pg_sleep(0.05) where application_name = current_setting('application_name')
`

// CountSessions runs the statement of that name.
func (q *Queries) CountSessions(ctx context.Context) (int64, error) {
	row := q.db.QueryRowContext(ctx, countSessions)
	var count int64
	err := row.Scan(&count)
	return count, err
}
