package pool

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// TaskStats is what is known about a pool's background tasks.
type TaskStats struct {
	Running      []RunningTask // oldest first
	StartedCount uint64        // tasks started
	FailedCount  uint64        // of those, tasks that ended with an error, panics included
	PanicCount   uint64        // of those, tasks that panicked
	RefusedCount uint64        // tasks not started, because the pool was shutting down
}

// RunningTask is a background task that has not ended.
type RunningTask struct {
	Name  string
	Since time.Time
}

// backgroundTasks keeps a pool's tasks. The zero value is ready for use.
type backgroundTasks struct {
	mu      sync.Mutex // guards what follows
	running map[*Task]struct{}
	closed  bool
	drained chan struct{} // closed once closed and nothing runs; made by shutdown
	counts  TaskStats     // without Running
}

// add registers t; closed is what the pool says once it is.
func (b *backgroundTasks) add(t *Task, closed error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		b.counts.RefusedCount++
		return fmt.Errorf("%w: background task %q was not started", closed, t.name)
	}
	if b.running == nil {
		b.running = make(map[*Task]struct{})
	}
	b.running[t] = struct{}{}
	b.counts.StartedCount++
	return nil
}

func (b *backgroundTasks) remove(t *Task, panicked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, t)
	if t.err != nil {
		b.counts.FailedCount++
	}
	if panicked {
		b.counts.PanicCount++
	}
	if b.closed && len(b.running) == 0 {
		close(b.drained)
	}
}

// shutdown refuses new tasks and waits for those that run. When ctx ends first
// it cancels them, waits on until they have let go of their connections, and
// returns ctx's error with the names of those it cut off. One that does not
// heed its cancelled context is waited for no longer than closeGrace. Later and
// concurrent calls do the same.
func (b *backgroundTasks) shutdown(ctx context.Context) error {
	drained := b.close()
	select {
	case <-drained:
		return nil
	default:
	}
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
	}
	names := b.cut()
	late := time.NewTimer(closeGrace)
	defer late.Stop()
	select {
	case <-drained:
	case <-late.C:
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("pool: background tasks cut off at shutdown: %s: %w", strings.Join(names, ", "), ctx.Err())
}

func (b *backgroundTasks) close() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return b.drained
	}
	b.closed, b.drained = true, make(chan struct{})
	if len(b.running) == 0 {
		close(b.drained)
	}
	return b.drained
}

// cut cancels what runs and returns the names.
func (b *backgroundTasks) cut() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for t := range b.running {
		t.cancel(ErrClosed)
		names = append(names, t.name)
	}
	slices.Sort(names)
	return names
}

// counters is stats without the list of what runs.
func (b *backgroundTasks) counters() TaskStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts
}

func (b *backgroundTasks) stats() TaskStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.counts
	for t := range b.running {
		s.Running = append(s.Running, RunningTask{t.name, t.started})
	}
	slices.SortFunc(s.Running, func(a, b RunningTask) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Name, b.Name))
	})
	return s
}
