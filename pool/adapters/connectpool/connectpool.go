// Package connectpool gives each call of a connect-go handler a session of a pool,
// over the protocols Connect, gRPC and gRPC-Web alike: commit before the success is
// said, rollback on every error and panic.
//
//	mux.Handle(shopv1connect.NewOrdersHandler(orders, connect.WithInterceptors(connectpool.Interceptor(p))))
//
// The session is in the method's context: pool.FromContext(ctx). Its name is the
// procedure ("/shop.v1.Orders/Create").
//
// What a client gets:
//
//   - When the pool or the server is full, CodeUnavailable (503 over HTTP) with a
//     RetryInfo and Retry-After, in the place of what the method made of it if that
//     was CodeUnknown, CodeInternal, CodeUnavailable or CodeDeadlineExceeded.
//   - When the server rolled back because of other work (SQLSTATE class 40),
//     CodeAborted with the same: at the commit, or if the method returns that error.
//   - When the commit fails for another reason, CodeInternal. The text says nothing of
//     the database; interceptors outside find the cause with errors.As.
//   - When the call's context has ended, CodeCanceled or CodeDeadlineExceeded. Nothing
//     is committed then.
//   - Otherwise the error of the method, as it was.
//
// Traps:
//
//   - Use it instead of the pool's net/http Middleware, which sees too late the errors
//     that gRPC says in a trailer and gRPC-Web and Connect's streams in the body.
//   - connect.WithRecover may be given before it or after it.
//   - A stream is one session, committed when the method returns. Messages sent before
//     are not yet committed; only the end without an error says so. A stream that has
//     run a statement holds its connection until the method returns: long-lived ones
//     use p.WithSession for each piece of work.
//   - A response that cannot be encoded fails after the commit.
package connectpool

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"github.com/dbpool-go/dbpool/pool"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Interceptor returns the interceptor of handlers, with streams and without. Clients
// may have it too: it does nothing there. Options that exclude one another make every
// call fail with CodeInternal.
func Interceptor(p *pool.Pool, opts ...pool.SessionOption) connect.Interceptor {
	return &interceptor{p, opts}
}

type interceptor struct {
	pool *pool.Pool
	opts []pool.SessionOption
}

func (i *interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (resp connect.AnyResponse, err error) {
		if req.Spec().IsClient {
			return next(ctx, req)
		}
		err = i.run(ctx, req.Spec().Procedure, func(ctx context.Context) (err error) {
			resp, err = next(ctx, req)
			return err
		})
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
}

func (i *interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (i *interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return i.run(ctx, conn.Spec().Procedure, func(ctx context.Context) error { return next(ctx, conn) })
	}
}

// run runs a method in a session and says how it ended in connect's words.
func (i *interceptor) run(ctx context.Context, name string, method func(context.Context) error) error {
	var failed, unserved error // the method, and its session's last attempt to get a connection
	err := i.pool.WithSession(pool.ContextWithName(ctx, name), func(ctx context.Context, s *pool.Session) error {
		failed = method(ctx)
		unserved = s.Unserved()
		return failed
	}, i.opts...)
	switch {
	case err == nil:
		return nil
	case failed == nil && ctx.Err() != nil:
		return ctx.Err() // which connect has codes for
	case failed == nil:
		return lost(err)
	}
	cause := cmp.Or(unserved, failed)
	if wait, ok := pool.RetryAfter(cause); ok && hidesCause(failed) {
		return retry(cause, wait)
	}
	return failed
}

// hidesCause reports whether a method's error is one that the pool's may have become.
func hidesCause(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeUnknown, connect.CodeInternal, connect.CodeUnavailable, connect.CodeDeadlineExceeded:
		return true
	}
	return false
}

// lost is the error of a method that succeeded and whose work was not committed.
func lost(err error) error {
	if wait, ok := pool.RetryAfter(err); ok {
		return retry(err, wait)
	}
	return connect.NewError(connect.CodeInternal, hidden("the work was not committed", err))
}

// retry is an error after which the same call may succeed.
func retry(err error, wait time.Duration) error {
	code, text := connect.CodeAborted, "the work was rolled back because of other work beside it"
	if errors.Is(err, pool.ErrPoolTimeout) || errors.Is(err, pool.ErrOverloaded) || errors.Is(err, pool.ErrServerFull) {
		code, text = connect.CodeUnavailable, "no database connection is free"
	}
	e := connect.NewError(code, hidden(text, err))
	if detail, err := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
		e.AddDetail(detail)
	}
	e.Meta().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	return e
}

// hiddenError is what the client reads and, for interceptors and logs, why.
type hiddenError struct {
	error
	cause error
}

func (h hiddenError) Unwrap() error { return h.cause }

func hidden(text string, cause error) error { return hiddenError{errors.New(text), cause} }
