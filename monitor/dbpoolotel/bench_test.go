package dbpoolotel

import (
	"context"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/pool"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// BenchmarkObserver is what one acquisition and release costs more with an
// observer: alone, with a tracer whose caller is not sampled, and with a span.
func BenchmarkObserver(b *testing.B) {
	for _, bm := range []struct {
		name   string
		tracer bool
		caller trace.TraceFlags
	}{
		{"metrics", false, 0},
		{"metrics and a caller not sampled", true, 0},
		{"metrics and a span", true, trace.FlagsSampled},
	} {
		b.Run(bm.name, func(b *testing.B) {
			opts := []Option{WithMeterProvider(sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader())))}
			if bm.tracer {
				opts = append(opts, WithTracerProvider(sdktrace.NewTracerProvider()))
			}
			o, err := NewObserver("orders", opts...)
			if err != nil {
				b.Fatal(err)
			}
			ctx := trace.ContextWithSpanContext(b.Context(), trace.NewSpanContext(trace.SpanContextConfig{
				TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: bm.caller,
			}))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c := o.AcquireStart(ctx, pool.LaneRequest, "GET /orders")
					o.AcquireEnd(c, pool.LaneRequest, "GET /orders", 3*time.Millisecond, nil)
					o.Released(pool.LaneRequest, "GET /orders", 5*time.Millisecond)
				}
			})
		})
	}
}

// BenchmarkCollect is the cost of one collection, and the share of one core
// that it takes every 15 seconds.
func BenchmarkCollect(b *testing.B) {
	r := sdk.NewManualReader()
	if _, err := Register(&fixed{stats: busy()}, WithMeterProvider(sdk.NewMeterProvider(sdk.WithReader(r)))); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var rm metricdata.ResourceMetrics
		if err := r.Collect(context.Background(), &rm); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.Elapsed())/float64(b.N)/float64(15*time.Second), "%core-every-15s")
}
