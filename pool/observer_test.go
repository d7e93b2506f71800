package pool

import (
	"errors"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/jackc/pgx/v5/pgconn"
)

type secretObserver struct {
	nobody
	seen chan error
}

func (o secretObserver) Dialed(_ time.Duration, err error) {
	select {
	case o.seen <- err:
	default:
	}
}

func TestObserverSeesNoPassword(t *testing.T) {
	o := secretObserver{seen: make(chan error, 1)}
	cfg := settled("postgres://u:topsecret@127.0.0.1:1/x", 1, 0)
	cfg.Fleet, cfg.PoolTimeout = config.FleetOff, time.Second
	p, err := Open(cfg, quietly, WithObserver(o))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_ = p.PingContext(t.Context())
	var ce *pgconn.ConnectError
	if err := <-o.seen; errors.As(err, &ce) {
		t.Errorf("Observer.Dialed's error carries the password: %v", ce.Config.Password == "topsecret")
	}
}
