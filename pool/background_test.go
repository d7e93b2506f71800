package pool

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/DATA-DOG/go-sqlmock"

	"github.com/dbpool-go/dbpool/config"
)

func TestBackgroundCommits(t *testing.T) {
	p, _, mock, lines := mockPoolLog(t)
	mock.ExpectBegin()
	mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectCommit()
	task := p.Background(t.Context(), "reindex", insert)
	if err := task.Wait(t.Context()); err != nil || task.Name() != "reindex" {
		t.Error(task.Name(), err)
	}
	done := lines.with(t, "background task done")
	if len(done) != 1 || done[0]["task"] != "reindex" || done[0]["duration_seconds"] == nil || done[0]["level"] != "DEBUG" || done[0]["pool"] != "db" {
		t.Errorf("log: %v", done)
	}
	if s := p.Stats().Tasks; s.StartedCount != 1 || s.FailedCount != 0 || len(s.Running) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestBackgroundRollsBack(t *testing.T) {
	tests := map[string]struct {
		work func()
		want string
	}{
		"error": {nil, "boom"},
		"panic": {func() { panic("oops") }, `pool: task "reindex" panicked: oops`},
		"exit":  {runtime.Goexit, `pool: task "reindex" left its goroutine (runtime.Goexit)`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, _, mock, lines := mockPoolLog(t)
			mock.ExpectBegin()
			mock.ExpectExec("insert").WillReturnResult(sqlmock.NewResult(0, 1))
			mock.ExpectRollback()
			err := p.Background(t.Context(), "reindex", func(ctx context.Context, s *Session) error {
				_ = insert(ctx, s)
				if tt.work != nil {
					tt.work()
				}
				return errBoom
			}).Wait(t.Context())
			if err == nil || err.Error() != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
			failed := lines.with(t, "background task failed")
			if len(failed) != 1 || failed[0]["error"] != tt.want || failed[0]["level"] != "ERROR" {
				t.Fatalf("log: %v", failed)
			}
			stack, _ := failed[0]["stack"].(string)
			if panicked := name == "panic"; panicked != strings.Contains(stack, "TestBackgroundRollsBack") {
				t.Errorf("stack %q", stack)
			}
			s := p.Stats().Tasks
			if s.FailedCount != 1 || (s.PanicCount == 1) != (name == "panic") {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestBackgroundIsCutLooseFromItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var lane Lane
		var name string
		p, _ := hookPool(t, &hookDriver{begin: func(ctx context.Context) error {
			lane, name = laneOf(ctx), nameOf(ctx)
			return nil
		}})
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "kept"), time.Second)
		defer cancel()
		var task *Task
		err := p.WithSession(ContextWithName(ctx, "GET /orders"), func(ctx context.Context, outer *Session) error {
			err := insert(ctx, outer)
			task = p.Background(ctx, "reindex", func(ctx context.Context, s *Session) error {
				if FromContext(ctx) != s || s == outer || scopeOf(ctx).Of(p.gate).Holding() != nil {
					t.Error("found its caller's session")
				}
				time.Sleep(time.Minute)
				if _, ok := ctx.Deadline(); ok || ctx.Err() != nil || ctx.Value(key{}) != "kept" {
					t.Error("not cut loose, or a value was lost")
				}
				return insert(ctx, s)
			})
			synctest.Wait()
			return err
		})
		if err := errors.Join(err, task.Wait(context.Background())); err != nil {
			t.Error(err)
		}
		if lane != LaneBackground || name != "reindex" {
			t.Errorf("acquired as %q in lane %s", name, lane)
		}
	})
}

func TestTaskWaitGivesUpAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hookPool(t, &hookDriver{})
		task := p.Background(t.Context(), "slow", func(context.Context, *Session) error {
			time.Sleep(time.Minute)
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := task.Wait(ctx); err != context.DeadlineExceeded {
			t.Error(err)
		}
		<-task.Done()
		if err := task.Wait(t.Context()); err != nil {
			t.Error("the task ended with its waiter:", err)
		}
	})
}

func TestTasksInStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hookPool(t, &hookDriver{})
		start := time.Now()
		for _, name := range []string{"second", "first"} {
			p.Background(t.Context(), name, func(context.Context, *Session) error {
				time.Sleep(time.Hour)
				return nil
			})
		}
		time.Sleep(time.Minute)
		p.Background(t.Context(), "a later one", func(context.Context, *Session) error {
			time.Sleep(time.Hour)
			return nil
		})
		got := p.Stats().Tasks.Running
		want := []RunningTask{{"first", start}, {"second", start}, {"a later one", start.Add(time.Minute)}}
		if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("%v", got)
		}
		if err := p.tasks.shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hookPool(t, &hookDriver{})
		task := p.Background(t.Context(), "slow", func(ctx context.Context, s *Session) error {
			time.Sleep(time.Minute)
			return insert(ctx, s)
		})
		start := time.Now()
		for range 2 { // a second shutdown joins the first
			go func() { _ = p.tasks.shutdown(context.Background()) }()
		}
		if err := p.tasks.shutdown(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := task.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if err := p.tasks.shutdown(t.Context()); err != nil {
			t.Error("a shutdown after the shutdown:", err)
		}
	})
}

func TestShutdownCutsOffWhatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hookPool(t, &hookDriver{})
		work := func(ctx context.Context, s *Session) error {
			if err := insert(ctx, s); err != nil {
				return err
			}
			<-ctx.Done()
			if context.Cause(ctx) != ErrClosed {
				t.Error(context.Cause(ctx))
			}
			time.Sleep(time.Second) // lets go slowly
			return nil
		}
		task := p.Background(t.Context(), "stubborn", work)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := p.tasks.shutdown(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stubborn") {
			t.Error(err)
		}
		if time.Since(start) != time.Minute+time.Second || p.Stats().InUse != 0 {
			t.Errorf("returned after %v with %d in use", time.Since(start), p.Stats().InUse)
		}
		if err := task.Wait(t.Context()); !errors.Is(err, ErrClosed) || !errors.Is(err, context.Canceled) {
			t.Errorf("the work that was rolled back is reported as %v", err)
		}
	})
}

func TestBackgroundOnAClosedPool(t *testing.T) {
	p, lines := poolOver(t, sql.OpenDB(&hookDriver{}), config.Default())
	if err := p.tasks.shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	task := p.Background(t.Context(), "reindex", func(context.Context, *Session) error {
		t.Error("started")
		return nil
	})
	select {
	case <-task.Done():
	default:
		t.Fatal("has not ended")
	}
	if err := task.Wait(t.Context()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if s := p.Stats().Tasks; s.RefusedCount != 1 || s.StartedCount != 0 {
		t.Errorf("%+v", s)
	}
	if len(lines.with(t, "background task failed")) != 1 {
		t.Error("not logged")
	}
}

func TestBackgroundOptionsThatExcludeOneAnother(t *testing.T) {
	p, err := New(sql.OpenDB(&hookDriver{}), config.Default(), WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	err = p.Background(t.Context(), "reindex", insert, WithAutocommit(), WithReadOnly()).Wait(t.Context())
	if err == nil {
		t.Error("accepted")
	}
}
