package pool_test

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/pool"
)

// An order and its lines, copied by pgx, are committed together or not at all.
func ExampleSession_WithPgx() {
	placeOrder := func(ctx context.Context, p *pool.Pool, id int, lines [][]any) error {
		return p.WithSession(ctx, func(ctx context.Context, s *pool.Session) error {
			if _, err := s.ExecContext(ctx, "insert into orders (id) values ($1)", id); err != nil {
				return err
			}
			return s.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
				_, err := c.CopyFrom(ctx, pgx.Identifier{"order_lines"}, []string{"item", "quantity"}, pgx.CopyFromRows(lines))
				return err
			})
		})
	}
	_ = placeOrder
}
