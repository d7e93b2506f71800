package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// table is what a benchmark prints for people; its metrics are for benchstat.
type table struct {
	b    *testing.B
	text strings.Builder
	w    *tabwriter.Writer
}

func newTable(b *testing.B, columns ...string) *table {
	t := &table{b: b}
	t.w = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', tabwriter.AlignRight)
	t.row(columns...)
	return t
}

func (t *table) row(cells ...string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")+"\t") }

// metric reports value for benchstat, under the contender's name.
func (t *table) metric(c contender, value float64, unit string) {
	t.b.ReportMetric(value, strings.ReplaceAll(c.name, " ", "-")+":"+unit)
}

func (t *table) print() {
	_ = t.w.Flush()
	t.b.Log("\n" + t.text.String())
	t.b.ReportMetric(0, "ns/op") // says nothing here
}

// latencies are sorted.
type latencies []time.Duration

func sorted(l []time.Duration) latencies {
	slices.Sort(l)
	return l
}

func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[int(q*float64(len(l)-1))]
}

func round(d time.Duration) string {
	if d < time.Millisecond {
		return d.Round(100 * time.Nanosecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}
