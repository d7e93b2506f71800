package pool_test

import (
	"context"
	"net/http"

	"github.com/dbpool-go/dbpool/pool"
)

// Reads that may be older than the last commit go to a standby, where
// DATABASE_READ_URL names one.
func ExampleContextWithStandby() {
	top := func(ctx context.Context, p *pool.Pool) (name string, err error) {
		ctx = pool.ContextWithStandby(ctx)
		err = p.QueryRowContext(ctx, "select name from products order by sold desc limit 1").Scan(&name)
		return name, err
	}
	report := func(ctx context.Context, p *pool.Pool) error {
		return p.WithSession(ctx, func(ctx context.Context, s *pool.Session) error {
			_, err := s.ExecContext(ctx, "select …")
			return err
		}, pool.WithStandby())
	}
	_, _ = top, report
}

// Who has written something sees it in the next request, whichever server reads.
func ExampleContextWithProgress() {
	follow := func(p *pool.Pool, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			from, _ := r.Cookie("progress")
			if from == nil {
				from = &http.Cookie{}
			}
			next.ServeHTTP(w, r.WithContext(pool.ContextWithProgress(r.Context(), from.Value)))
		})
	}
	save := func(p *pool.Pool, w http.ResponseWriter, r *http.Request) {
		err := p.WithSession(r.Context(), func(ctx context.Context, s *pool.Session) error {
			_, err := s.ExecContext(ctx, "insert into orders (item) values ($1)", r.FormValue("item"))
			return err
		})
		if err != nil {
			http.Error(w, "not saved", http.StatusInternalServerError)
			return
		}
		if at, err := p.Progress(r.Context()); err == nil {
			http.SetCookie(w, &http.Cookie{Name: "progress", Value: at, MaxAge: 60, HttpOnly: true})
		}
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = follow, save
}
