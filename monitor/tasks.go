package monitor

import (
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// tasksShown is how many running tasks are named, at most.
const tasksShown = 20

func taskFigures(s *pool.Stats) statusjson.TaskFigures {
	t := &s.Tasks
	out := statusjson.TaskFigures{
		RunningCount: len(t.Running), StartedCount: t.StartedCount, FailedCount: t.FailedCount,
		PanicCount: t.PanicCount, RefusedCount: t.RefusedCount, Running: []statusjson.RunningTask{},
	}
	for _, r := range t.Running[:min(len(t.Running), tasksShown)] {
		out.Running = append(out.Running, statusjson.RunningTask{Name: r.Name, Since: r.Since, RunningSeconds: seconds(max(s.At.Sub(r.Since), 0))})
	}
	return out
}
