package dbpoolprom

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The linter is asked about everything; nothing is exempt.
func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(registry(t, NewCollector(&fixed{stats: busy()}, known())))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// notExported are the figures of Stats that no metric shows, with the reason.
var notExported = map[string]string{
	"At":                   "Prometheus keeps the time of the scrape",
	"Waiting":              "the sum of dbpool_waiting_callers over the lanes",
	"HoldDuration":         "dbpool_hold_seconds_sum",
	"LastDialError.Reason": "dbpool_server_refusing while it matters; words change, labels should not",
	"Kept":                 "one at most, while a monitor runs",
	"StatementTimeout.How": "a sentence",
	"Pipeline.Mode":        "a setting", "Pipeline.RunCount": "the sum of dbpool_pipelines_total",
	"Wait.Counts[18]":  "the bucket without a bound is dbpool_wait_seconds_count less the others",
	"Hold.Counts[18]":  "likewise",
	"Fleet.Arithmetic": "sentences", "Fleet.Arithmetic[0]": "sentences",
	"Fleet.Remedies": "sentences", "Fleet.Remedies[0]": "sentences",
	"Standby.Reason": "a sentence", "Standby.Since": "when dbpool_standby_up changed",
	"Tasks.Running[0].Name": "names may be without number", "Tasks.Running[1].Name": "likewise",
	"Tasks.Running[1].Since": "only the oldest matters",
	"LastDialError.Message":  "a sentence", "LastDialError.Remedy": "a sentence", "LastDialError.SQLState": "see Reason", "LastDialError.Permanent": "see Reason",
}

// Every figure of Stats shows: changing it changes the scrape.
func TestEveryFigureIsExported(t *testing.T) {
	base := busy()
	before := scrape(t, registry(t, NewCollector(&fixed{stats: base})))
	eachLeaf("", reflect.ValueOf(&base).Elem(), func(path string, v reflect.Value) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		defer v.Set(old)
		if !change(v) {
			t.Fatalf("%s: cannot change a %s; teach the test", path, v.Type())
		}
		shown := scrape(t, registry(t, NewCollector(&fixed{stats: base}))) != before
		_, exempt := notExported[path]
		if shown == exempt {
			t.Errorf("%s: shown %t, listed as not exported %t", path, shown, exempt)
		}
	})
}

// eachLeaf visits the exported fields below v that hold a single value.
func eachLeaf(path string, v reflect.Value, visit func(string, reflect.Value)) {
	switch {
	case v.Kind() == reflect.Pointer:
		eachLeaf(path, v.Elem(), visit)
	case v.Kind() == reflect.Slice:
		visit(path, v)
		for i := range v.Len() {
			eachLeaf(fmt.Sprintf("%s[%d]", path, i), v.Index(i), visit)
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			eachLeaf(fmt.Sprintf("%s[%d]", path, i), v.Index(i), visit)
		}
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				eachLeaf(strings.TrimPrefix(path+"."+f.Name, "."), v.Field(i), visit)
			}
		}
	default:
		visit(path, v)
	}
}

// change sets v to another value of its kind that the metrics can show.
func change(v reflect.Value) bool {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(time.Minute)))
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(v.Int() + int64(time.Minute))
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	case v.Kind() == reflect.String:
		v.SetString("server full")
	case v.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	default:
		return false
	}
	return true
}
