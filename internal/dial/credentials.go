package dial

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Credentials are what a dial authenticates with. They are never logged.
type Credentials struct {
	User     string // empty: the connection string's
	Password string
}

// String hides both, so that no verb prints them.
func (Credentials) String() string { return "[credentials]" }

// GoString hides both from %#v as well.
func (Credentials) GoString() string { return "[credentials]" }

// credentials calls the supplier and shares one renewal among all dials that
// the server refused together.
type credentials struct {
	supply  func(ctx context.Context) (Credentials, error)
	ctx     context.Context // the pool's
	timeout time.Duration   // of one dial

	mu     sync.Mutex
	count  int      // renewals so far
	latest *renewal // under way, or the last one; nil before the first
}

type renewal struct {
	done  chan struct{}
	fresh Credentials // valid once done is closed
	err   error
}

// login is what one dial authenticates with, and how many renewals there had
// been when it asked.
type login struct {
	Credentials
	renewals int
}

// get supplies the credentials of one dial.
func (cr *credentials) get(ctx context.Context) (*login, error) {
	cr.mu.Lock()
	l := &login{renewals: cr.count}
	cr.mu.Unlock()
	var err error
	l.Credentials, err = cr.call(ctx)
	return l, err
}

func (cr *credentials) call(ctx context.Context) (c Credentials, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = NewPanic(v)
		}
	}()
	c, err = cr.supply(ctx)
	if err != nil {
		return Credentials{}, &credentialsError{err}
	}
	return c, nil
}

// renew asks again because the server refused what the dial had. A renewal that
// began since is the answer to that as well.
func (cr *credentials) renew(ctx context.Context, refused *login) (*login, error) {
	f, n := cr.join(refused.renewals)
	select {
	case <-f.done:
		return &login{f.fresh, n}, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns a renewal that began after the given number of them.
func (cr *credentials) join(after int) (*renewal, int) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if cr.count == after {
		cr.count++
		cr.latest = &renewal{done: make(chan struct{})}
		go cr.fly(cr.latest) // ends with its own deadline
	}
	return cr.latest, cr.count
}

// fly makes the call. It belongs to no dial, so it does not end with one.
func (cr *credentials) fly(f *renewal) {
	ctx, cancel := context.WithTimeout(cr.ctx, cr.timeout)
	defer cancel()
	f.fresh, f.err = cr.call(ctx)
	close(f.done)
}

// credentialsError is a failure of the supplier.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// apply sets the credentials of one dial.
func (c Credentials) apply(cc *pgx.ConnConfig) {
	if c.User != "" {
		cc.User = c.User
	}
	cc.Password = c.Password
}
