package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/dbpool-go/dbpool/monitor/dbpoolprom"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/dbpool-go/dbpool/pool/adapters/ginpool"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// Order is a row of orders.
type Order struct {
	ID   int64
	Item string
}

// newService has gin run each request in a session, GORM read and write through
// the pool, and Prometheus read the pool's figures.
func newService(p *pool.Pool) (http.Handler, error) {
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: p.DB()}))
	if err != nil {
		return nil, err
	}
	if err := db.AutoMigrate(&Order{}); err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(dbpoolprom.NewCollector(p))
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.GET("/metrics", gin.WrapH(promhttp.HandlerFor(reg, promhttp.HandlerOpts{})))
	orders := r.Group("/orders", ginpool.Middleware(p))
	orders.POST("/:item", order)
	orders.GET("", func(c *gin.Context) {
		var n int64
		if err := db.WithContext(c.Request.Context()).Model(&Order{}).Count(&n).Error; err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		c.String(http.StatusOK, fmt.Sprint(n))
	})
	return r, nil
}

// order writes what GORM says in the request's session.
func order(c *gin.Context) {
	s := pool.FromContext(c.Request.Context())
	tx, err := gorm.Open(postgres.New(postgres.Config{Conn: s.DB()}))
	if err == nil {
		err = tx.WithContext(c.Request.Context()).Create(&Order{Item: c.Param("item")}).Error
	}
	switch {
	case err != nil:
		_ = c.AbortWithError(http.StatusInternalServerError, err)
	case c.Param("item") == "poison":
		_ = c.Error(errors.New("refused")) // rolls back
		c.String(http.StatusConflict, "we do not sell poison")
	default:
		c.String(http.StatusCreated, c.Param("item"))
	}
}
