package dbpoolotel

import (
	"reflect"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
)

// convention is what the conventions' own package says of an instrument.
type convention interface {
	Name() string
	Unit() string
	Description() string
}

// To follow a new version of the conventions: raise the two imports, run, and
// edit conventions.go until this passes.
func TestInstrumentsFollowTheConventions(t *testing.T) {
	want := []convention{
		dbconv.ClientConnectionCountObservable{},
		dbconv.ClientConnectionIdleMaxObservable{},
		dbconv.ClientConnectionIdleMinObservable{},
		dbconv.ClientConnectionMaxObservable{},
		dbconv.ClientConnectionPendingRequestsObservable{},
		dbconv.ClientConnectionTimeoutsObservable{},
		dbconv.ClientConnectionCreateTime{},
		dbconv.ClientConnectionWaitTime{},
		dbconv.ClientConnectionUseTime{},
	}
	got := append(conventional(), createTime(), waitTime(), useTime())
	if len(got) != len(want) {
		t.Fatalf("%d instruments, the conventions have %d", len(got), len(want))
	}
	for i, in := range got {
		w := want[i]
		if in.name != w.Name() || in.unit != w.Unit() || in.description != w.Description() || in.kind != kindByType(t, w) {
			t.Errorf("have %s %s %s %q\nwant %s %s %s %q", in.name, in.kind, in.unit, in.description,
				w.Name(), kindByType(t, w), w.Unit(), w.Description())
		}
	}
}

// kindByType tells the kind from the instrument that the convention embeds.
func kindByType(t *testing.T, c convention) kind {
	t.Helper()
	switch embedded := reflect.TypeOf(c).Field(0).Type; embedded {
	case reflect.TypeFor[metric.Int64ObservableCounter]():
		return counter
	case reflect.TypeFor[metric.Int64ObservableUpDownCounter]():
		return upDownCounter
	case reflect.TypeFor[metric.Float64Histogram]():
		return histogram
	default:
		t.Fatalf("%s: %s is new to this test", c.Name(), embedded)
		return ""
	}
}

func TestAttributesFollowTheConventions(t *testing.T) {
	if schemaURL != semconv.SchemaURL {
		t.Errorf("schema %s, want %s", schemaURL, semconv.SchemaURL)
	}
	for _, tc := range []struct {
		got  attribute.KeyValue
		want attribute.KeyValue
	}{
		{attribute.String(attrPoolName, "orders"), semconv.DBClientConnectionPoolName("orders")},
		{attribute.String(attrState, stateUsed), semconv.DBClientConnectionStateUsed},
		{attribute.String(attrState, stateIdle), semconv.DBClientConnectionStateIdle},
		{attribute.String(attrSystem, systemPostgreSQL), semconv.DBSystemNamePostgreSQL},
		{attribute.String(attrErrorType, errorOther), semconv.ErrorTypeOther},
	} {
		if tc.got != tc.want {
			t.Errorf("have %v, want %v", tc.got, tc.want)
		}
	}
}
