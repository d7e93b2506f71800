package dbpoolotel

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/pool"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func observer(t *testing.T, opts ...Option) *Observer {
	t.Helper()
	o, err := NewObserver("orders", append([]Option{WithMeterProvider(noop.NewMeterProvider())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// tracing is a tracer whose ended spans the test can read.
func tracing(t *testing.T, opts ...sdktrace.TracerProviderOption) (*tracetest.SpanRecorder, trace.TracerProvider) {
	rec := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(append(opts, sdktrace.WithSpanProcessor(rec))...)
	t.Cleanup(func() { _ = tp.Shutdown(context.WithoutCancel(t.Context())) })
	return rec, tp
}

func TestHistograms(t *testing.T) {
	r, mp := reader(t)
	o := observer(t, WithMeterProvider(mp))
	failed := errors.New("no")
	o.AcquireEnd(t.Context(), pool.LaneRequest, "", 3*time.Millisecond, nil)
	o.AcquireEnd(t.Context(), pool.LaneRequest, "", time.Hour, failed)
	o.Released(pool.LaneRequest, "", 40*time.Millisecond)
	o.Released(pool.LaneBackground, "", 60*time.Millisecond)
	o.Dialed(7*time.Millisecond, nil)
	o.Dialed(time.Hour, failed)
	got := collect(t, r)
	for _, tc := range []struct {
		name  string
		count uint64
		sum   float64
	}{
		{"db.client.connection.wait_time", 1, 0.003},
		{"db.client.connection.use_time", 2, 0.1},
		{"db.client.connection.create_time", 1, 0.007},
	} {
		h, ok := got[tc.name].Data.(metricdata.Histogram[float64])
		if !ok || len(h.DataPoints) != 1 {
			t.Fatalf("%s: %+v", tc.name, got[tc.name])
		}
		p := h.DataPoints[0]
		if p.Count != tc.count || p.Sum != tc.sum {
			t.Errorf("%s: count %d sum %g, want %d and %g", tc.name, p.Count, p.Sum, tc.count, tc.sum)
		}
		if !reflect.DeepEqual(p.Bounds, seconds(pool.HistogramBounds())) {
			t.Errorf("%s: bounds %v differ from the pool's", tc.name, p.Bounds)
		}
		if name, _ := p.Attributes.Value(attrPoolName); name.AsString() != "orders" {
			t.Errorf("%s: pool name %q", tc.name, name.AsString())
		}
	}
}

func TestNoTracerNoSpan(t *testing.T) {
	ctx := t.Context()
	if got := observer(t).AcquireStart(ctx, pool.LaneRequest, "GET /orders"); got != ctx {
		t.Error("the context was changed")
	}
}

func TestSpan(t *testing.T) {
	rec, tp := tracing(t)
	o := observer(t, WithTracerProvider(tp))
	caller, parent := tp.Tracer("test").Start(t.Context(), "GET /orders")
	ctx := o.AcquireStart(caller, pool.LaneRequest, "GET /orders")
	if trace.SpanFromContext(ctx) == parent {
		t.Error("what happens during the acquisition would hang on the caller's span")
	}
	o.AcquireEnd(ctx, pool.LaneRequest, "GET /orders", time.Millisecond, nil)
	ended := rec.Ended()
	if len(ended) != 1 || !parent.IsRecording() {
		t.Fatalf("%d spans ended, caller's still open %t", len(ended), parent.IsRecording())
	}
	s := ended[0]
	if s.Name() != spanAcquire || s.Parent().SpanID() != parent.SpanContext().SpanID() || s.Status().Code != codes.Unset {
		t.Errorf("span %q, parent %s, status %v", s.Name(), s.Parent().SpanID(), s.Status())
	}
	want := map[string]string{attrPoolName: "orders", attrSystem: "postgresql", attrLane: "request", attrHolder: "GET /orders"}
	if got := attributesOf(s); !reflect.DeepEqual(got, want) {
		t.Errorf("attributes %v, want %v", got, want)
	}
}

func attributesOf(s sdktrace.ReadOnlySpan) map[string]string {
	out := map[string]string{}
	for _, kv := range s.Attributes() {
		out[string(kv.Key)] = kv.Value.String()
	}
	return out
}

// The probe is nobody's request, and a caller that is not sampled has no trace.
func TestSpansThatAreNotMade(t *testing.T) {
	for _, tc := range []struct {
		name    string
		sampler sdktrace.Sampler
		lane    pool.Lane
	}{
		{"probe", sdktrace.AlwaysSample(), pool.LaneProbe},
		{"sampled out", sdktrace.NeverSample(), pool.LaneRequest},
		{"caller not sampled", sdktrace.AlwaysSample(), pool.LaneRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec, tp := tracing(t, sdktrace.WithSampler(tc.sampler))
			_, callers := tracing(t)
			o := observer(t, WithTracerProvider(tp))
			caller, parent := callers.Tracer("test").Start(t.Context(), "caller")
			if tc.name == "caller not sampled" {
				caller = trace.ContextWithSpanContext(caller, parent.SpanContext().WithTraceFlags(0))
			}
			o.AcquireEnd(o.AcquireStart(caller, tc.lane, ""), tc.lane, "", 0, nil)
			if n := len(rec.Ended()); n != 0 || !parent.IsRecording() {
				t.Errorf("%d spans ended, caller's still open %t", n, parent.IsRecording())
			}
		})
	}
}

func TestSpanOfAFailure(t *testing.T) {
	acquire := func(kind error, v pool.Verdict) error {
		return &pool.AcquireError{Kind: kind, Verdict: v, Stats: pool.Stats{Name: "orders"}}
	}
	for _, tc := range []struct {
		name, errorType, verdict string
		err                      error
	}{
		{"timeout", "timeout", "leak", acquire(pool.ErrPoolTimeout, pool.VerdictLeak)},
		{"server full is more than a timeout", "server_full", "server full", acquire(pool.ErrServerFull, pool.VerdictServerFull)},
		{"overloaded", "overloaded", "", acquire(pool.ErrOverloaded, "")},
		{"nested", "nested", "nested acquisition", acquire(pool.ErrNested, pool.VerdictNested)},
		{"closed", "closed", "", pool.ErrClosed},
		{"the caller left", "canceled", "", fmt.Errorf("acquire: %w", context.Canceled)},
		{"the caller's deadline", "timeout", "", context.DeadlineExceeded},
		{"refused by the server", "28P01", "", &pool.DialError{SQLState: "28P01", Message: "password authentication failed"}},
		{"no server", "_OTHER", "", &pool.DialError{Message: "connection refused"}},
		{"anything", "_OTHER", "", errors.New("anything")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec, tp := tracing(t)
			o := observer(t, WithTracerProvider(tp))
			o.AcquireEnd(o.AcquireStart(t.Context(), pool.LaneBackground, ""), pool.LaneBackground, "", time.Second, tc.err)
			s := rec.Ended()[0]
			got := attributesOf(s)
			if got[attrErrorType] != tc.errorType || got[attrVerdict] != tc.verdict {
				t.Errorf("error.type %q verdict %q, want %q and %q", got[attrErrorType], got[attrVerdict], tc.errorType, tc.verdict)
			}
			if s.Status().Code != codes.Error || s.Status().Description != tc.err.Error() {
				t.Errorf("status %v", s.Status())
			}
		})
	}
}
