package dbpoolotel_test

import (
	"context"
	"fmt"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/dbpoolotel"
	"github.com/dbpool-go/dbpool/pool"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Histograms come from the observer, everything else from the registration.
func ExampleRegister() {
	reader := metric.NewManualReader() // your exporter's reader
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer provider.Shutdown(context.Background())

	cfg := config.Default()
	cfg.Name = "orders"
	cfg.DatabaseURL = "postgres://app@localhost/shop"
	observer, err := dbpoolotel.NewObserver(cfg.Name, dbpoolotel.WithMeterProvider(provider))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := pool.Open(cfg, pool.WithObserver(observer)) // no network yet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	registration, err := dbpoolotel.Register(p, dbpoolotel.WithMeterProvider(provider))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registration.Unregister()

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		if m.Name == "db.client.connection.max" {
			for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
				name, _ := point.Attributes.Value("db.client.connection.pool.name")
				fmt.Println(m.Name, name.AsString(), point.Value)
			}
		}
	}
	// Output: db.client.connection.max orders 10
}
