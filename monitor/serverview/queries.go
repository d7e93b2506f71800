package serverview

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// QueryOptions says how much LongestQueries tells. The zero value asks for ten
// statements without their texts and without addresses.
type QueryOptions struct {
	Limit     int  // at most this many; 0 means 10
	Text      bool // SQL texts, with literals and comments taken out
	Addresses bool // client addresses
}

//go:embed queries.sql
var queriesSQL string

// LongestQueries asks for the statements, and the transactions open but idle,
// that have been so for the longest; the session that asks is left out. Without
// pg_read_all_stats a role sees only its own.
func LongestQueries(ctx context.Context, q Querier, opts QueryOptions) ([]Query, error) {
	var doc string
	if err := q.QueryRowContext(ctx, opts.statement()).Scan(&doc); err != nil {
		return nil, fmt.Errorf("serverview: longest queries: %w", err)
	}
	var found []Query
	if err := json.Unmarshal([]byte(doc), &found); err != nil {
		return nil, fmt.Errorf("serverview: longest queries: unexpected answer: %w", err)
	}
	for i := range found {
		found[i].Text = Redact(found[i].Text)
	}
	return found, nil
}

func (o QueryOptions) statement() string {
	extra := ""
	if o.Text {
		extra += ", left(a.query, 4000) AS text"
	}
	if o.Addresses {
		extra += ", host(a.client_addr) AS client_address"
	}
	limit := o.Limit
	if limit <= 0 {
		limit = 10
	}
	return strings.NewReplacer("/* extra columns */", extra, "/* limit */", strconv.Itoa(limit)).Replace(queriesSQL)
}
