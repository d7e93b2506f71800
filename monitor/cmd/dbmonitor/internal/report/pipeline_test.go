package report

import (
	"slices"
	"testing"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/sample"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// Statements that were sent together show once there were any, with the most
// frequent reasons of the others.
func TestPipelineRow(t *testing.T) {
	was, now := sample.Busy(), sample.Busy()
	was.Pipeline = statusjson.PipelineFigures{SharedCount: 100, RunCount: 20}
	now.Pipeline = statusjson.PipelineFigures{SharedCount: 130, RunCount: 20, UnsharedCount: 9, Unshared: statusjson.UnsharedReasons{Slow: 6, Text: 2, New: 1}}
	before := snap(was)
	want := "130 (+30) sent together with others, 6.5 at a time; 9 (+9) waited for a connection of their own (slow, text)"
	if rows := New(snap(now), &before).Rows; !slices.ContainsFunc(rows, func(r Row) bool { return r.Text == want }) {
		t.Errorf("no row %q in %v", want, rows)
	}
}
