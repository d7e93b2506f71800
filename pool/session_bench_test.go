package pool

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dbpool-go/dbpool/config"
)

// What a session costs on top of the transaction it is made of: the driver does
// nothing, so only the bookkeeping is measured.
func BenchmarkUnitOfWork(b *testing.B) {
	db := sql.OpenDB(&hookDriver{})
	p, err := New(db, config.Default(), WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	ctx := context.Background()

	b.Run("BeginTx", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = tx.ExecContext(ctx, "insert")
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("WithSession", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := p.WithSession(ctx, insert); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("WithSession without statement", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = p.WithSession(ctx, func(context.Context, *Session) error { return nil })
		}
	})
	b.Run("Middleware without statement", func(b *testing.B) {
		h := p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
		r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
}
