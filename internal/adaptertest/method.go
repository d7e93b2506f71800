package adaptertest

import (
	"context"
	"errors"
)

// Method is what the methods of a test's service do. send is nil for one without a stream.
type Method func(ctx context.Context, send func() error) error

// After inserts, sends if there is a stream, and goes on.
func After(insert func(context.Context) error, next func(ctx context.Context) error) Method {
	return func(ctx context.Context, send func() error) error {
		if err := insert(ctx); err != nil {
			return err
		}
		if send != nil {
			if err := send(); err != nil {
				return err
			}
		}
		return next(ctx)
	}
}

// SQLState is PostgreSQL's code of what is in err's chain; empty when there is none.
func SQLState(err error) string {
	var cause interface{ SQLState() string }
	if !errors.As(err, &cause) {
		return ""
	}
	return cause.SQLState()
}
