// Package grpcpool gives each call of a grpc-go server a session of a pool: commit
// before the status OK goes out, rollback on every error and panic.
//
//	srv := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(recovery, grpcpool.Unary(p)),
//		grpc.ChainStreamInterceptor(recoveryOfStreams, grpcpool.Stream(p)),
//	)
//
// The session is in the method's context: pool.FromContext(ctx), of a stream
// pool.FromContext(stream.Context()).
//
// What a client gets:
//
//   - When the pool or the server is full, Unavailable with a RetryInfo, in the place
//     of what the method made of it if that was Unknown, Internal, Unavailable or
//     DeadlineExceeded. Other codes of the method stay.
//   - When the server rolled back because of other work (SQLSTATE class 40), Aborted
//     with a RetryInfo: at the commit, or if the method returns that error itself.
//   - When the commit fails for another reason, Internal. The text says
//     nothing of the database; interceptors outside find the cause with errors.As.
//   - When the call's context has ended, Canceled or DeadlineExceeded. Nothing is
//     committed then.
//   - Otherwise the error of the method, as it was.
//
// Traps:
//
//   - A panic is rolled back and goes on. grpc-go does not recover: put a recovering
//     interceptor outside, or the process ends.
//   - A stream is one session, committed when the method returns. Messages sent before
//     are not yet committed; only the status OK says so. To prove more, call
//     Session.Commit before Send, or use p.WithSession for each message.
//   - A stream that has run a statement holds its connection, and its transaction,
//     until the method returns: a client that reads slowly keeps it. Long-lived
//     streams use p.WithSession for each piece of work instead. A session that runs
//     no statement costs nothing.
//   - Put Unary inside interceptors that turn errors into others, so that it sees the
//     method's own, and outside those that swallow errors.
package grpcpool

import (
	"cmp"
	"context"

	"github.com/dbpool-go/dbpool/pool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Unary returns the interceptor of calls without streams. The session's name is the
// method ("/shop.Orders/Create"). Options that exclude one another make every call
// fail with Internal.
func Unary(p *pool.Pool, opts ...pool.SessionOption) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
		err = run(ctx, p, info.FullMethod, opts, func(ctx context.Context) (err error) {
			resp, err = handler(ctx, req)
			return err
		})
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
}

// Stream returns the interceptor of calls with streams, in either direction or both.
// Calls of unknown methods, which grpc.UnknownServiceHandler handles, have the name
// "other": theirs is the client's.
func Stream(p *pool.Pool, opts ...pool.SessionOption) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		name := info.FullMethod
		if srv == nil {
			name = "other"
		}
		return run(ss.Context(), p, name, opts, func(ctx context.Context) error {
			return handler(srv, &stream{ss, ctx})
		})
	}
}

// stream has the session in its context.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *stream) Context() context.Context { return s.ctx }

// run runs a method in a session and says how it ended in gRPC's words.
func run(ctx context.Context, p *pool.Pool, name string, opts []pool.SessionOption, method func(context.Context) error) error {
	var failed, unserved error // the method, and its session's last attempt to get a connection
	err := p.WithSession(pool.ContextWithName(ctx, name), func(ctx context.Context, s *pool.Session) error {
		failed = method(ctx)
		unserved = s.Unserved()
		return failed
	}, opts...)
	switch {
	case err == nil:
		return nil
	case failed == nil:
		return uncommitted(ctx, err)
	}
	why := cmp.Or(unserved, failed)
	if wait, ok := pool.RetryAfter(why); ok && hidesCause(failed) {
		return &failure{retry(why, wait), err}
	}
	return failed
}

// hidesCause reports whether a method's error is one that the pool's may have become.
func hidesCause(err error) bool {
	switch status.Code(err) {
	case codes.Unknown, codes.Internal, codes.Unavailable, codes.DeadlineExceeded:
		return true
	}
	return false
}

// uncommitted is the error of a method that succeeded and whose work is lost.
func uncommitted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &failure{status.FromContextError(ctx.Err()), err}
	}
	if wait, ok := pool.RetryAfter(err); ok {
		return &failure{retry(err, wait), err}
	}
	return &failure{status.New(codes.Internal, "the work was not committed"), err}
}
