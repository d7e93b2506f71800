package ginpool_test

import (
	"log"
	"os"

	"github.com/dbpool-go/dbpool/pool"
	"github.com/dbpool-go/dbpool/pool/adapters/ginpool"
	"github.com/gin-gonic/gin"
)

func Example() {
	p, err := pool.OpenURL(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	r := gin.New()
	r.Use(gin.Recovery(), ginpool.Middleware(p))
	r.POST("/orders/:id", func(c *gin.Context) {
		ctx := c.Request.Context()
		if _, err := pool.FromContext(ctx).ExecContext(ctx, "insert into orders values ($1)", c.Param("id")); err != nil {
			_ = c.AbortWithError(500, err) // rolls back; 503 with Retry-After when the pool is full
			return
		}
		c.JSON(201, gin.H{"id": c.Param("id")}) // commits, then writes
	})
	log.Print(r.Run())
}
