package echopool_test

import (
	"log"
	"os"

	"github.com/dbpool-go/dbpool/pool"
	"github.com/dbpool-go/dbpool/pool/adapters/echopool"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
)

func Example() {
	p, err := pool.OpenURL(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	e := echo.New()
	e.Use(middleware.Recover(), echopool.Middleware(p))
	e.POST("/orders/:id", func(c *echo.Context) error {
		ctx := c.Request().Context()
		if _, err := pool.FromContext(ctx).ExecContext(ctx, "insert into orders values ($1)", c.Param("id")); err != nil {
			return err // rolls back; 503 with Retry-After when the pool is full
		}
		return c.JSON(201, c.Param("id")) // commits, then writes
	})
	log.Print(e.Start("127.0.0.1:8080"))
}
