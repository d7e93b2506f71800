package pool

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// Task is a unit of work started by Background. Its methods may be called by
// several goroutines; a caller that does not care drops it.
type Task struct {
	name    string
	started time.Time
	cancel  context.CancelCauseFunc
	done    chan struct{}
	err     error // final once done is closed
}

// Name is the name given to Background.
func (t *Task) Name() string { return t.name }

// Done is closed when the task has ended and its connection was given back.
func (t *Task) Done() <-chan struct{} { return t.done }

// Wait waits for the task to end and returns how: nil when its work was
// committed, ErrClosed when the pool did not start it any more. When ctx ends
// first Wait returns ctx.Err(), and the task goes on.
func (t *Task) Wait(ctx context.Context) error {
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Background starts fn in a goroutine with a session of its own, as WithSession
// does, and returns at once. It is meant for work that a request sets off and
// nobody waits for; with Wait it also serves as a plain call.
//
// The context given to fn keeps ctx's values but neither its cancellation nor
// its deadline: the work outlives the request. It ends when the pool shuts down
// and the time that Shutdown allows has run out, with ErrClosed as its cause.
// The work queues for its connection in LaneBackground, and shows up under name
// in logs, Stats, timeouts and leak warnings. It sees nothing of the session in
// ctx, which has perhaps not been committed yet: start it after the commit, or
// it may miss rows.
//
// The outcome is logged once, with name and duration: success at info level, an
// error or a panic (recovered, with its stack) at error level. The Task has
// it too. On a pool that is closed or shutting down fn does not run, and the
// Task has ended with ErrClosed.
func (p *Pool) Background(ctx context.Context, name string, fn func(ctx context.Context, s *Session) error, opts ...SessionOption) *Task {
	ctx = ContextWithName(ContextWithLane(context.WithoutCancel(ctx), LaneBackground), name)
	ctx, cancel := context.WithCancelCause(ctx)
	t := &Task{name: name, started: time.Now(), cancel: cancel, done: make(chan struct{})}
	o, err := p.sessionOptions(opts)
	if err == nil {
		err = p.tasks.add(t, p.errClosed())
	}
	if err != nil {
		t.err = err
		p.logTask(t, nil)
		cancel(err)
		close(t.done)
		return t
	}
	go p.runTask(ctx, t, fn, o)
	return t
}

func (p *Pool) runTask(ctx context.Context, t *Task, fn func(ctx context.Context, s *Session) error, o sessionOptions) {
	ctx, _ = p.labelled(ctx, t.name) // the goroutine ends with the task
	s := p.startSession(ctx, o, nil)
	returned := false
	defer func() {
		var stack []byte
		if v := recover(); v != nil {
			stack = debug.Stack()
			t.err = fmt.Errorf("pool: task %q panicked: %v", t.name, v)
		} else if !returned {
			t.err = fmt.Errorf("pool: task %q left its goroutine (runtime.Goexit)", t.name)
		}
		t.cancel(nil)
		p.logTask(t, stack)
		p.tasks.remove(t, stack != nil)
		close(t.done)
	}()
	defer s.abandon()
	t.err = s.end(fn(s.ctx, s))
	returned = true
}

func (p *Pool) logTask(t *Task, stack []byte) {
	level, outcome := slog.LevelDebug, "background task done"
	attrs := []any{"pool", p.cfg.Name, "task", t.name, "duration_seconds", logSeconds(time.Since(t.started))}
	if t.err != nil {
		level, outcome = slog.LevelError, "background task failed"
		attrs = append(attrs, loggable(t.err)...)
	}
	if stack != nil {
		attrs = append(attrs, "stack", string(stack))
	}
	p.log.Log(context.Background(), level, outcome, attrs...)
}
