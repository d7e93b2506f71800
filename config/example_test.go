package config_test

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dbpool-go/dbpool/config"
)

// A service reads its settings once, at start, and stops with the whole list
// if anything is wrong with them.
func ExampleFromEnv() {
	os.Setenv("DATABASE_URL", "postgres://app:hunter2@db.example.com/orders")
	os.Setenv("DB_ENV", "production")
	os.Setenv("DB_POOL_TIMEOUT", "5") // seconds; 5s means the same
	defer func() {
		for _, name := range []string{"DATABASE_URL", "DB_ENV", "DB_POOL_TIMEOUT"} {
			os.Unsetenv(name)
		}
	}()

	cfg, err := config.FromEnv()
	if err != nil {
		fmt.Println(err) // and exit
		return
	}
	fmt.Println(cfg.PoolSize, cfg.MaxOverflow, cfg.PoolTimeout)
	// Output: 3 3 5s
}

// Tests and programs with another source of settings hand the environment in.
func ExampleFrom() {
	cfg, err := config.From(map[string]string{
		"PGHOST":         "db.example.com",
		"PGUSER":         "app",
		"PGPASSWORD":     "hunter2",
		"DB_POOL_SIZE":   "8",
		"DB_MAX_WAITERS": "100",
	})
	fmt.Println(cfg.DatabaseURL, cfg.MaxOpen(), err)
	// Output: host=db.example.com user=app password=xxxxx 13 <nil>
}

// Every problem is reported at once; errors.As reaches them one by one.
func ExampleError() {
	_, err := config.From(map[string]string{
		"DATABASE_URL":    "postgres://app@db.example.com/orders",
		"DB_POOL_SIZE":    "0",
		"DB_MAX_OVERFLOW": "-1",
		"DB_POOL_TIMOUT":  "10",
	})
	fmt.Println(err)

	var invalid *config.Error
	if errors.As(err, &invalid) {
		fmt.Println(len(invalid.Problems), "problems, the first with", invalid.Problems[0].Variable)
	}
	// Output:
	// config: DB_POOL_SIZE: 0 means unlimited in SQLAlchemy and is refused here; set 1 or more
	// config: DB_MAX_OVERFLOW: -1 means unlimited in SQLAlchemy and is refused here; set 0 or more
	// config: DB_POOL_TIMOUT: is not a variable of this library and does nothing; if DB_POOL_TIMEOUT is meant, rename it; if it belongs to something else, set DB_POOL_TIMEOUT too
	// 3 problems, the first with DB_POOL_SIZE
}

// A Config can be built in code as well. Start from a preset.
func ExampleConfig_Validate() {
	cfg := config.Default()
	cfg.DatabaseURL = "host=/var/run/postgresql dbname=orders"
	cfg.PoolTimeout = 2 * time.Second
	fmt.Println(cfg.Validate())

	cfg.MaxConnectionWarnings = 150
	fmt.Println(cfg.Validate())
	// Output:
	// <nil>
	// config: MAX_CONNECTION_WARNINGS: 150 is not a percentage to warn at; set 1 to 100
}

// What is printed holds no password, in either form of connection string.
func ExampleDSN_Redacted() {
	fmt.Println(config.DSN("postgres://app:hunter2@h1:5432,h2:5432/orders?sslpassword=hunter2").Redacted())
	fmt.Println(config.DSN("host=db user=app password='hunter2' dbname=orders"))
	fmt.Println(config.DSN("postgres://app:hunter/2@db/orders")) // not a URL: the / should be %2F
	// Output:
	// postgres://app:xxxxx@h1:5432,h2:5432/orders?sslpassword=xxxxx
	// host=db user=app password=xxxxx dbname=orders
	// (connection string not shown)
}

func ExampleShare_Of() {
	fmt.Println(config.Share("50%").Of(97), config.Share("40").Of(97), config.Share("").Of(97))
	// Output: 48 40 97
}
