package pool_test

import (
	"context"

	"github.com/dbpool-go/dbpool/pool"
)

// Single statements of a *sql.DB share connections where the context says so.
func ExampleContextWithPipelining() {
	ownerOf := func(ctx context.Context, p *pool.Pool, id int) (owner string, err error) {
		ctx = pool.ContextWithPipelining(ctx)
		err = p.DB().QueryRowContext(ctx, "select owner from accounts where id = $1", id).Scan(&owner)
		return owner, err
	}
	_ = ownerOf
}
