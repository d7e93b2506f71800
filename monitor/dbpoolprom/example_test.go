package dbpoolprom_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/monitor/dbpoolprom"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Two pools in one registry, told apart by the label pool.
func ExampleNewCollector() {
	reg := prometheus.NewRegistry()
	for _, name := range []string{"orders", "reports"} {
		cfg := config.Default()
		cfg.Name = name
		cfg.DatabaseURL = "postgres://app@localhost/shop"
		p, err := pool.Open(cfg) // no network yet
		if err != nil {
			fmt.Println(err)
			return
		}
		defer p.Close()
		reg.MustRegister(dbpoolprom.NewCollector(p))
	}
	metrics := promhttp.HandlerFor(reg, promhttp.HandlerOpts{}) // mux.Handle("/metrics", metrics)

	answer := httptest.NewRecorder()
	metrics.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "dbpool_max_open_connections{") {
			fmt.Print(line)
		}
	}
	// Output:
	// dbpool_max_open_connections{pool="orders"} 10
	// dbpool_max_open_connections{pool="reports"} 10
}

// The server's own view comes from a monitor, which reads it every 15 seconds.
func ExampleWithServerView() {
	cfg := config.Default()
	cfg.DatabaseURL = "postgres://app@localhost/shop"
	p, err := pool.Open(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	m := monitor.New(p) // go m.Run(ctx)
	reg := prometheus.NewRegistry()
	reg.MustRegister(dbpoolprom.NewCollector(p, dbpoolprom.WithServerView(m.ServerView)))

	families, err := reg.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range families {
		if f.GetName() == "dbpool_server_free_connections" {
			fmt.Println("known")
			return
		}
	}
	fmt.Println("not known before the monitor has asked")
	// Output: not known before the monitor has asked
}
