package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/DATA-DOG/go-sqlmock"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// examplePool stands for pool.Open(cfg): the same pool over a mock instead of a
// server, as in your own tests.
func examplePool() (*pool.Pool, sqlmock.Sqlmock) {
	db, mock, err := sqlmock.New()
	if err != nil {
		panic(err)
	}
	p, err := pool.New(db, config.Default(), pool.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		panic(err)
	}
	return p, mock
}

func ExamplePool_WithSession() {
	p, mock := examplePool()
	defer p.Close()
	mock.ExpectBegin()
	mock.ExpectExec("update accounts").WithArgs(100, 1).WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectExec("update accounts").WithArgs(-100, 2).WillReturnResult(sqlmock.NewResult(0, 0))
	mock.ExpectRollback()

	err := p.WithSession(context.Background(), func(ctx context.Context, s *pool.Session) error {
		const move = "update accounts set balance = balance + $1 where id = $2"
		if _, err := s.ExecContext(ctx, move, 100, 1); err != nil {
			return err
		}
		result, err := s.ExecContext(ctx, move, -100, 2)
		if err != nil {
			return err
		}
		if n, _ := result.RowsAffected(); n == 0 {
			return errors.New("no such account") // rolls back both
		}
		return nil // commits
	})
	fmt.Println(err)
	fmt.Println(mock.ExpectationsWereMet())
	// Output:
	// no such account
	// <nil>
}

func ExamplePool_Middleware() {
	p, mock := examplePool()
	defer p.Close()
	mock.ExpectBegin()
	mock.ExpectExec("insert into orders").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectCommit().WillReturnError(errors.New("deferred constraint violated"))

	create := func(w http.ResponseWriter, r *http.Request) {
		s := pool.FromContext(r.Context())
		if _, err := s.ExecContext(r.Context(), "insert into orders default values"); err != nil {
			http.Error(w, "try again later", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated) // commits first
		fmt.Fprintln(w, "created")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", create)
	srv := httptest.NewServer(p.Middleware(mux))
	defer srv.Close()

	resp, err := http.Post(srv.URL+"/orders", "", nil)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n%s", resp.Status, body)
	// Output:
	// 500 Internal Server Error
	// Internal Server Error
}

// Rows go to the client while they come in, which a session that could still
// lose work would not allow.
func ExamplePool_Middleware_streaming() {
	p, mock := examplePool()
	defer p.Close()
	mock.ExpectBegin()
	mock.ExpectQuery("select name").WillReturnRows(sqlmock.NewRows([]string{"name"}).AddRow("bolt").AddRow("nut"))
	mock.ExpectCommit()

	list := func(w http.ResponseWriter, r *http.Request) {
		rows, err := pool.FromContext(r.Context()).QueryContext(r.Context(), "select name from parts")
		if err != nil {
			http.Error(w, "try again later", http.StatusInternalServerError)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				panic(http.ErrAbortHandler) // the client sees that the list is not complete
			}
			fmt.Fprintln(w, name)
		}
		if rows.Err() != nil {
			panic(http.ErrAbortHandler)
		}
	}
	rec := httptest.NewRecorder()
	h := p.Middleware(http.HandlerFunc(list), pool.WithReadOnly())
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/parts", nil))
	fmt.Print(rec.Body)
	// Output:
	// bolt
	// nut
}

func ExamplePool_Background() {
	p, mock := examplePool()
	defer p.Close()
	mock.ExpectBegin()
	mock.ExpectExec("refresh materialized view").WillReturnResult(sqlmock.NewResult(0, 0))
	mock.ExpectCommit()

	ctx, cancel := context.WithCancel(context.Background())
	task := p.Background(ctx, "reindex", func(ctx context.Context, s *pool.Session) error {
		_, err := s.ExecContext(ctx, "refresh materialized view sales")
		return err
	})
	cancel() // the request that set it off may end

	fmt.Println(task.Wait(context.Background())) // only who wants to know waits
	fmt.Println(mock.ExpectationsWereMet())
	// Output:
	// <nil>
	// <nil>
}

// A handler that wants to answer a failed commit itself commits itself.
func ExampleSession_Commit() {
	p, mock := examplePool()
	defer p.Close()
	mock.ExpectBegin()
	mock.ExpectExec("insert into orders").WillReturnResult(sqlmock.NewResult(0, 1))
	mock.ExpectCommit().WillReturnError(errors.New("deferred constraint violated"))

	h := p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := pool.FromContext(r.Context())
		_, err := s.ExecContext(r.Context(), "insert into orders default values")
		if err == nil {
			err = s.Commit()
		}
		if err != nil {
			http.Error(w, "such an order exists", http.StatusConflict)
		}
	}))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("POST", "/orders", nil))
	fmt.Println(rec.Code)
	// Output: 409
}
