package pool

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// TestServersErrorInTheLog wants the caller to get the server's error as it is,
// and the log to say what it was without the argument in it.
func TestServersErrorInTheLog(t *testing.T) {
	log := &logLines{}
	p := open(t, settled(pgtest.Shared(t).URL, 1, 0), WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	task := p.Background(t.Context(), "import", func(ctx context.Context, s *Session) error {
		_, err := s.ExecContext(ctx, "select cast($1::text as int)", "hunter2")
		return err
	})
	var pg *pgconn.PgError
	if err := task.Wait(t.Context()); !errors.As(err, &pg) || pg.Message != `invalid input syntax for type integer: "hunter2"` {
		t.Errorf("the caller got %v", err)
	}
	if !log.contains("background task failed") || !log.contains("22P02") || !log.contains("invalid input syntax") || log.contains("hunter2") {
		t.Error("the log says something else")
	}
}
