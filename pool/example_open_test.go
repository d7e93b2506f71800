package pool_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"log/slog"
	"net"

	"github.com/DATA-DOG/go-sqlmock"
	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

// A service opens its pool once, at its start. Ready waits while the database
// starts, and returns at once what waiting would not cure, such as a wrong password.
func ExampleOpen() {
	cfg, err := config.FromEnv() // DATABASE_URL and the limits
	if err != nil {
		log.Fatal(err)
	}
	p, err := pool.Open(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	var version string
	if err := p.QueryRowContext(context.Background(), "show server_version").Scan(&version); err != nil {
		log.Fatal(err)
	}
	fmt.Println(version)
}

// total is code of a service that is to be tested without a server.
func total(ctx context.Context, p *pool.Pool) (n int, err error) {
	err = p.WithSession(ctx, func(ctx context.Context, s *pool.Session) error {
		return s.QueryRowContext(ctx, "select sum(quantity) from orders").Scan(&n)
	}, pool.WithReadOnly())
	return n, err
}

// New makes a pool over any *sql.DB, which go-sqlmock's is.
func ExampleNew() {
	db, mock, err := sqlmock.New()
	if err != nil {
		log.Fatal(err)
	}
	p, err := pool.New(db, config.Default(), pool.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	mock.ExpectBegin()
	mock.ExpectQuery("select sum").WillReturnRows(sqlmock.NewRows([]string{"sum"}).AddRow(5))
	mock.ExpectCommit()

	fmt.Println(total(context.Background(), p))
	fmt.Println(mock.ExpectationsWereMet())
	// Output:
	// 5 <nil>
	// <nil>
}

// What needs a *sql.DB gets the same path, under the same limit.
func ExamplePool_DB() {
	p, mock := examplePool()
	defer p.Close()
	mock.ExpectExec("create table orders").WillReturnResult(sqlmock.NewResult(0, 0))

	// newStore stands for gorm.Open, sqlx.NewDb, bun.NewDB, goose.NewProvider, …
	newStore := func(db *sql.DB) error {
		_, err := db.ExecContext(context.Background(), "create table orders (id int)")
		return err
	}
	fmt.Println(newStore(p.DB()))
	// Output: <nil>
}

// What database/sql has no word for is done by pgx itself, on a connection of
// the pool: COPY, batches, LISTEN, types.
func ExamplePool_WithPgx() {
	copyOrders := func(ctx context.Context, p *pool.Pool, rows [][]any) (copied int64, err error) {
		err = p.WithPgx(ctx, func(ctx context.Context, c *pgx.Conn) error {
			copied, err = c.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"item", "quantity"}, pgx.CopyFromRows(rows))
			return err
		})
		return copied, err
	}
	_ = copyOrders
}

// Each session sets the tenant of its request before its first statement.
func ExampleWithSessionDefaults() {
	tenantOf := func(context.Context) string { return "acme" }
	cfg := config.Default()
	cfg.DatabaseURL = "postgres://app@localhost/orders"
	p, err := pool.Open(cfg, pool.WithSessionDefaults(pool.WithBegin(func(ctx context.Context, s *pool.Session) error {
		_, err := s.ExecContext(ctx, "select set_config('app.tenant', $1, true)", tenantOf(ctx))
		return err
	})))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	fmt.Println(p.Config().Name)
	// Output: db
}

// A token of a cloud provider is a password that lasts for minutes. It is asked
// for at each dial.
func ExampleWithCredentials() {
	// iamToken stands for the provider's call: auth.BuildAuthToken of AWS' SDK for
	// RDS, for example.
	iamToken := func(ctx context.Context, endpoint, user string) (string, error) { return "…", nil }

	cfg := config.Production()
	cfg.DatabaseURL = "host=orders.abc.eu-central-1.rds.amazonaws.com dbname=orders sslmode=verify-full"
	p, err := pool.Open(cfg, pool.WithCredentials(func(ctx context.Context) (pool.Credentials, error) {
		token, err := iamToken(ctx, "orders.abc.eu-central-1.rds.amazonaws.com:5432", "app")
		return pool.Credentials{User: "app", Password: token}, err
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	fmt.Println(p.Config().Name)
	// Output: db
}

// A connector such as Cloud SQL's dials by itself, over a tunnel of its own.
func ExampleWithDialFunc() {
	// tunnel stands for cloudsqlconn.Dialer, whose Dial takes the instance's name.
	var tunnel interface {
		Dial(ctx context.Context, instance string) (net.Conn, error)
	}
	cfg := config.Production()
	cfg.DatabaseURL = "host=localhost user=app dbname=orders sslmode=disable"
	p, err := pool.Open(cfg, pool.WithDialFunc(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return tunnel.Dial(ctx, "project:europe-west1:orders")
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	fmt.Println(p.Stats().MaxOpen())
	// Output: 6
}
