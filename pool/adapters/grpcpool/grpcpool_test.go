package grpcpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/adaptertest"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestMain(m *testing.M) { pgtest.Main(m, func() error { return goleak.Find() }) }

var errBoom = errors.New("boom")

const (
	create = "/shop.Orders/Create"
	watch  = "/shop.Orders/Watch"
)

// service has a method without a stream and one with, which sends what the method sends.
func service(do adaptertest.Method) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "shop.Orders", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Create", Handler: func(srv any, ctx context.Context, decode func(any) error, around grpc.UnaryServerInterceptor) (any, error) {
			in := new(emptypb.Empty)
			if err := decode(in); err != nil {
				return nil, err
			}
			return around(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: create}, func(ctx context.Context, _ any) (any, error) {
				return new(emptypb.Empty), do(ctx, nil)
			})
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, Handler: streamOf(do)}},
	}
}

func streamOf(do adaptertest.Method) grpc.StreamHandler {
	return func(_ any, ss grpc.ServerStream) error {
		return do(ss.Context(), func() error { return ss.SendMsg(new(emptypb.Empty)) })
	}
}

// serve returns a client of a server with the adapter and with do as its methods.
// What an interceptor outside sees goes to seen.
func serve(t *testing.T, s *adaptertest.Shop, do adaptertest.Method, seen *error) *grpc.ClientConn {
	t.Helper()
	watching := func(err error, panicked any) error {
		if panicked != nil {
			err = status.Errorf(codes.DataLoss, "%v", panicked)
		}
		if seen != nil {
			*seen = err
		}
		return err
	}
	srv := grpc.NewServer(
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
			defer func() { err = watching(err, recover()) }()
			return h(ctx, req)
		}, Unary(s.Pool)),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
			defer func() { err = watching(err, recover()) }()
			return h(srv, ss)
		}, Stream(s.Pool)),
		grpc.UnknownServiceHandler(streamOf(do)))
	srv.RegisterService(service(do), struct{}{})
	lis := bufconn.Listen(1 << 16)
	go func() { _ = srv.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///shop", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); srv.Stop() })
	return conn
}

// call calls a method and returns how many messages came, and the status at the end.
func call(ctx context.Context, conn *grpc.ClientConn, name string) (messages int, err error) {
	if name == create {
		return 0, conn.Invoke(ctx, name, new(emptypb.Empty), new(emptypb.Empty))
	}
	cs, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, name)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(cs.SendMsg(new(emptypb.Empty)), cs.CloseSend()); err != nil {
		return 0, err
	}
	for ; ; messages++ {
		if err := cs.RecvMsg(new(emptypb.Empty)); err != nil {
			return messages, ended(err)
		}
	}
}

// ended is nil for a stream that ended with OK.
func ended(err error) error {
	if err.Error() == "EOF" {
		return nil
	}
	return err
}

func TestOutcomes(t *testing.T) {
	s := adaptertest.Open(t)
	for name, tt := range map[string]struct {
		next  func(context.Context) error
		code  codes.Code
		items int
	}{
		"OK":           {func(context.Context) error { return nil }, codes.OK, 1},
		"status":       {func(context.Context) error { return status.Error(codes.NotFound, "no") }, codes.NotFound, 0},
		"wrapped":      {func(context.Context) error { return fmt.Errorf("x: %w", status.Error(codes.AlreadyExists, "no")) }, codes.AlreadyExists, 0},
		"error":        {func(context.Context) error { return errBoom }, codes.Unknown, 0},
		"panic":        {func(context.Context) error { panic("boom") }, codes.DataLoss, 0},
		"own rollback": {func(ctx context.Context) error { return pool.FromContext(ctx).Rollback() }, codes.OK, 0},
	} {
		for _, path := range []string{create, watch} {
			if _, err := call(t.Context(), serve(t, s, adaptertest.After(adaptertest.Insert, tt.next), nil), path); status.Code(err) != tt.code {
				t.Errorf("%s%s: %v, want %s", name, path, err, tt.code)
			}
			if n := s.Items(); n != tt.items {
				t.Errorf("%s%s: %d items, want %d", name, path, n, tt.items)
			}
		}
	}
}

// The client hears nothing of the database; those around hear the cause.
func TestFailedCommit(t *testing.T) {
	s := adaptertest.Open(t)
	for _, path := range []string{create, watch} {
		var seen error
		conn := serve(t, s, adaptertest.After(adaptertest.InsertBad, func(context.Context) error { return nil }), &seen)
		_, err := call(t.Context(), conn, path)
		if status.Code(err) != codes.Internal || status.Convert(err).Message() != "the work was not committed" {
			t.Errorf("%s: %v", path, err)
		}
		if adaptertest.SQLState(seen) != "23503" {
			t.Errorf("%s: around it %v", path, seen)
		}
	}
}

// A conflict at the commit may be tried again.
func TestConflictAtTheCommit(t *testing.T) {
	s := adaptertest.Open(t)
	s.Conflict()
	conn := serve(t, s, adaptertest.After(adaptertest.Insert, func(context.Context) error { return nil }), nil)
	for _, path := range []string{create, watch} {
		_, err := call(t.Context(), conn, path)
		wantRetry(t, path, err, codes.Aborted)
	}
}

func wantRetry(t *testing.T, what string, err error, code codes.Code) {
	t.Helper()
	s := status.Convert(err)
	if details := s.Details(); s.Code() == code && len(details) == 1 {
		if info, ok := details[0].(*errdetails.RetryInfo); ok && info.RetryDelay.AsDuration() >= time.Second {
			return
		}
	}
	t.Errorf("%s: %v %v, want %s with a RetryInfo", what, err, s.Details(), code)
}

func TestFullPool(t *testing.T) {
	s := adaptertest.Open(t)
	defer s.Fill()()
	for name, say := range map[string]func(error) error{
		"as it is":  func(err error) error { return err },
		"Internal":  func(error) error { return status.Error(codes.Internal, "sorry") },
		"own error": func(error) error { return errBoom },
		"deadline":  func(err error) error { return status.FromContextError(err).Err() },
	} {
		var seen error
		conn := serve(t, s, func(ctx context.Context, _ func() error) error { return say(adaptertest.InsertSoon(ctx)) }, &seen)
		for _, path := range []string{create, watch} {
			_, err := call(t.Context(), conn, path)
			wantRetry(t, name+path, err, codes.Unavailable)
		}
	}
	conn := serve(t, s, func(ctx context.Context, _ func() error) error {
		return status.Errorf(codes.InvalidArgument, "%v", adaptertest.InsertSoon(ctx))
	}, nil)
	if _, err := call(t.Context(), conn, create); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a code of the method's own: %v", err)
	}
}

// The status OK of a stream proves that the work is done; a client that goes away
// before has it rolled back.
func TestStreamIsCommittedBeforeItsStatus(t *testing.T) {
	s := adaptertest.Open(t)
	conn := serve(t, s, adaptertest.After(adaptertest.Insert, func(ctx context.Context) error { return adaptertest.Insert(ctx) }), nil)
	if n, err := call(t.Context(), conn, watch); n != 1 || err != nil || s.Items() != 2 {
		t.Errorf("%d messages, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error, 1)
	conn = serve(t, s, func(ctx context.Context, _ func() error) error {
		err := adaptertest.Insert(ctx)
		cancel()
		<-ctx.Done()
		returned <- err
		return nil
	}, nil)
	if _, err := call(ctx, conn, watch); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	if err := <-returned; err != nil || s.Items() != 0 {
		t.Errorf("after the client has gone: %v", err)
	}
}

func TestNamesAreMethods(t *testing.T) {
	s := adaptertest.Open(t)
	var got string
	conn := serve(t, s, adaptertest.After(adaptertest.Insert, func(context.Context) error { got = s.Route(); return nil }), nil)
	for path, want := range map[string]string{create: create, watch: watch, "/secret/Secret": "other"} {
		if _, err := call(t.Context(), conn, path); err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", path, got, want, err)
		}
	}
}
