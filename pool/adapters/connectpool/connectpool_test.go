package connectpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/dbpool-go/dbpool/internal/adaptertest"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestMain(m *testing.M) { pgtest.Main(m, func() error { return goleak.Find() }) }

var errBoom = errors.New("boom")

const (
	create = "/shop.Orders/Create"
	watch  = "/shop.Orders/Watch"
)

// protocols are connect's three.
var protocols = map[string][]connect.ClientOption{
	"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
}

// seer is an interceptor outside. A method whose client has gone may still be
// ending when the next one is called.
type seer struct {
	mu  sync.Mutex
	err error // the latest
}

func (s *seer) saw(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *seer) seen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *seer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (resp connect.AnyResponse, err error) {
		resp, err = next(ctx, req)
		s.saw(err)
		return resp, err
	}
}

func (s *seer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (s *seer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, conn)
		s.saw(err)
		return err
	}
}

// caller calls the methods over one protocol.
type caller struct {
	url    string
	client *http.Client
	opts   []connect.ClientOption
}

// call returns how many messages came, and the error at the end.
func (c *caller) call(ctx context.Context, name string) (messages int, err error) {
	client := connect.NewClient[emptypb.Empty, emptypb.Empty](c.client, c.url+name, c.opts...)
	if name == create {
		_, err := client.CallUnary(ctx, connect.NewRequest(new(emptypb.Empty)))
		return 0, err
	}
	stream, err := client.CallServerStream(ctx, connect.NewRequest(new(emptypb.Empty)))
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	for stream.Receive() {
		messages++
	}
	return messages, stream.Err()
}

// each serves do as both methods and runs test for each of them and each protocol.
func each(t *testing.T, s *adaptertest.Shop, do adaptertest.Method, test func(what, name string, c *caller, outside *seer)) {
	t.Helper()
	outside := &seer{}
	around := connect.WithHandlerOptions(
		connect.WithRecover(func(_ context.Context, _ connect.Spec, _ http.Header, v any) error {
			return connect.NewError(connect.CodeDataLoss, fmt.Errorf("%v", v))
		}), connect.WithInterceptors(outside, Interceptor(s.Pool)))
	mux := http.NewServeMux()
	mux.Handle(create, connect.NewUnaryHandler(create, func(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[emptypb.Empty], error) {
		return connect.NewResponse(new(emptypb.Empty)), do(ctx, nil)
	}, around))
	mux.Handle(watch, connect.NewServerStreamHandler(watch, func(ctx context.Context, _ *connect.Request[emptypb.Empty], out *connect.ServerStream[emptypb.Empty]) error {
		return do(ctx, func() error { return out.Send(new(emptypb.Empty)) })
	}, around))
	srv := httptest.NewUnstartedServer(mux)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	for protocol, opts := range protocols {
		// Clients have the interceptor as well: it does nothing there.
		opts = append([]connect.ClientOption{connect.WithInterceptors(Interceptor(s.Pool))}, opts...)
		for _, name := range []string{create, watch} {
			test(protocol+" "+name, name, &caller{srv.URL, srv.Client(), opts}, outside)
		}
	}
}

func code(err error) connect.Code {
	if err == nil {
		return 0
	}
	return connect.CodeOf(err)
}

func TestOutcomes(t *testing.T) {
	s := adaptertest.Open(t)
	for name, tt := range map[string]struct {
		next  func(context.Context) error
		code  connect.Code
		items int
	}{
		"nil":          {func(context.Context) error { return nil }, 0, 1},
		"code":         {func(context.Context) error { return connect.NewError(connect.CodeNotFound, errBoom) }, connect.CodeNotFound, 0},
		"error":        {func(context.Context) error { return errBoom }, connect.CodeUnknown, 0},
		"panic":        {func(context.Context) error { panic("boom") }, connect.CodeDataLoss, 0},
		"own rollback": {func(ctx context.Context) error { return pool.FromContext(ctx).Rollback() }, 0, 0},
	} {
		each(t, s, adaptertest.After(adaptertest.Insert, tt.next), func(what, path string, c *caller, _ *seer) {
			if _, err := c.call(t.Context(), path); code(err) != tt.code {
				t.Errorf("%s, %s: %v, want %s", name, what, err, tt.code)
			}
			if n := s.Items(); n != tt.items {
				t.Errorf("%s, %s: %d items, want %d", name, what, n, tt.items)
			}
		})
	}
}

// The client hears nothing of the database; those around hear the cause.
func TestFailedCommit(t *testing.T) {
	s := adaptertest.Open(t)
	do := adaptertest.After(adaptertest.InsertBad, func(context.Context) error { return nil })
	each(t, s, do, func(what, path string, c *caller, outside *seer) {
		_, err := c.call(t.Context(), path)
		if code(err) != connect.CodeInternal || err.Error() != "internal: the work was not committed" {
			t.Errorf("%s: %v", what, err)
		}
		if adaptertest.SQLState(outside.seen()) != "23503" {
			t.Errorf("%s: around it %v", what, outside.seen())
		}
	})
}

// A conflict at the commit may be tried again.
func TestConflictAtTheCommit(t *testing.T) {
	s := adaptertest.Open(t)
	s.Conflict()
	each(t, s, adaptertest.After(adaptertest.Insert, func(context.Context) error { return nil }), func(what, path string, c *caller, _ *seer) {
		_, err := c.call(t.Context(), path)
		wantRetry(t, what, err, connect.CodeAborted)
	})
}

func wantRetry(t *testing.T, what string, err error, want connect.Code) {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) || e.Code() != want || e.Meta().Get("Retry-After") != "1" || len(e.Details()) != 1 {
		t.Errorf("%s: %v, want %s that says when to come again", what, err, want)
		return
	}
	info, err := e.Details()[0].Value()
	if told, ok := info.(*errdetails.RetryInfo); !ok || told.RetryDelay.AsDuration() != time.Second {
		t.Errorf("%s: %v, %v", what, info, err)
	}
}

func TestFullPool(t *testing.T) {
	s := adaptertest.Open(t)
	defer s.Fill()()
	for name, say := range map[string]func(error) error{
		"as it is":  func(err error) error { return err },
		"internal":  func(error) error { return connect.NewError(connect.CodeInternal, errBoom) },
		"own error": func(error) error { return errBoom },
	} {
		do := func(ctx context.Context, _ func() error) error { return say(adaptertest.InsertSoon(ctx)) }
		each(t, s, do, func(what, path string, c *caller, _ *seer) {
			_, err := c.call(t.Context(), path)
			wantRetry(t, name+", "+what, err, connect.CodeUnavailable)
		})
	}
	own := func(ctx context.Context, _ func() error) error {
		return connect.NewError(connect.CodeInvalidArgument, adaptertest.InsertSoon(ctx))
	}
	each(t, s, own, func(what, path string, c *caller, _ *seer) {
		if _, err := c.call(t.Context(), path); code(err) != connect.CodeInvalidArgument {
			t.Errorf("%s, a code of the method's own: %v", what, err)
		}
	})
}

// The end of a stream proves that the work is done, after its messages too; a client
// that goes away before has it rolled back.
func TestStreamIsCommittedBeforeItsEnd(t *testing.T) {
	s := adaptertest.Open(t)
	each(t, s, adaptertest.After(adaptertest.Insert, adaptertest.Insert), func(what, path string, c *caller, _ *seer) {
		if n, err := c.call(t.Context(), path); err != nil || path == watch && n != 1 || s.Items() != 2 {
			t.Errorf("%s: %d messages, %v", what, n, err)
		}
	})
	var leave context.CancelFunc
	returned := make(chan error, 1)
	gone := func(ctx context.Context, _ func() error) error {
		err := adaptertest.Insert(ctx)
		leave()
		<-ctx.Done()
		returned <- err
		return nil
	}
	each(t, s, gone, func(what, path string, c *caller, _ *seer) {
		ctx, cancel := context.WithCancel(t.Context())
		leave = cancel
		if _, err := c.call(ctx, path); code(err) != connect.CodeCanceled {
			t.Errorf("%s: %v", what, err)
		}
		if err := <-returned; err != nil || s.Items() != 0 {
			t.Errorf("%s: after the client has gone: %v", what, err)
		}
	})
}

func TestNamesAreProcedures(t *testing.T) {
	s := adaptertest.Open(t)
	var got string
	do := adaptertest.After(adaptertest.Insert, func(context.Context) error { got = s.Route(); return nil })
	each(t, s, do, func(what, path string, c *caller, _ *seer) {
		if _, err := c.call(t.Context(), path); err != nil || got != path {
			t.Errorf("%s: %q (%v)", what, got, err)
		}
	})
}
