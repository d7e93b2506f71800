package fiberpool_test

import (
	"log"
	"os"

	"github.com/dbpool-go/dbpool/pool"
	"github.com/dbpool-go/dbpool/pool/adapters/fiberpool"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"
)

func Example() {
	p, err := pool.OpenURL(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	app := fiber.New()
	app.Use(recover.New())
	app.Post("/orders/:id", fiberpool.New(p), func(c fiber.Ctx) error {
		_, err := pool.FromContext(c.Context()).ExecContext(c.Context(), "insert into orders values ($1)", c.Params("id"))
		if err != nil {
			return err // rolls back; 503 with Retry-After when the pool is full
		}
		return c.Status(201).SendString("created") // commits when this returns, then sends
	})
	log.Print(app.Listen("127.0.0.1:8080"))
}
