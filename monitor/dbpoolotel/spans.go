package dbpoolotel

import (
	"context"
	"errors"

	"github.com/dbpool-go/dbpool/pool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// spans traces acquisitions.
type spans struct {
	tracer   trace.Tracer
	constant trace.SpanStartEventOption // attributes of every span
}

func newSpans(o options) *spans {
	if o.traces == nil {
		return nil
	}
	return &spans{
		tracer:   o.traces.Tracer(scopeName, trace.WithSchemaURL(schemaURL)),
		constant: trace.WithAttributes(o.attributes()...),
	}
}

// spanKey finds our span again. trace.SpanFromContext would find the caller's
// where ours is missing, and end would end that.
type spanKey struct{}

// start makes no span where the caller's is not sampled: parent-based samplers
// would drop it, after a dozen allocations.
func (s *spans) start(ctx context.Context, lane pool.Lane, name string) context.Context {
	if caller := trace.SpanContextFromContext(ctx); caller.IsValid() && !caller.IsSampled() {
		return ctx
	}
	own := []attribute.KeyValue{attribute.String(attrLane, lane.String())}
	if name != "" {
		own = append(own, attribute.String(attrHolder, name))
	}
	spanCtx, span := s.tracer.Start(ctx, spanAcquire, s.constant, trace.WithAttributes(own...))
	if !span.IsRecording() {
		return ctx // sampled out: there is nothing to end
	}
	return context.WithValue(spanCtx, spanKey{}, span)
}

func (s *spans) end(ctx context.Context, err error) {
	span, ok := ctx.Value(spanKey{}).(trace.Span)
	if !ok {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(attribute.String(attrErrorType, errorType(err)))
		if e, ok := errors.AsType[*pool.AcquireError](err); ok && e.Verdict != "" {
			span.SetAttributes(attribute.String(attrVerdict, string(e.Verdict)))
		}
	}
	span.End()
}

// errorType is one of a few words: server_full, overloaded, timeout, nested,
// closed, canceled, a SQLSTATE when a dial failed with one, or _OTHER.
func errorType(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{pool.ErrServerFull, "server_full"}, // before timeout, which it is as well
		{pool.ErrOverloaded, "overloaded"},
		{pool.ErrPoolTimeout, "timeout"},
		{pool.ErrNested, "nested"},
		{pool.ErrClosed, "closed"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	if dial, ok := errors.AsType[*pool.DialError](err); ok && dial.SQLState != "" {
		return dial.SQLState
	}
	return errorOther
}
