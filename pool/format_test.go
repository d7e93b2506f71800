package pool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/config"
)

func TestPoolPrintsItselfWithoutSecrets(t *testing.T) {
	cfg := config.Default()
	cfg.Name, cfg.DatabaseURL = "orders", "postgres://user:hush-hush@127.0.0.1:1/db"
	cfg.Fleet = config.FleetOff
	p, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const want = `pool "orders" (size 5, overflow 5, in use 0, idle 0, waiting 0)`
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T of %v"} {
		args := []any{p}
		if verb == "%T of %v" {
			args = []any{p, p}
		}
		if got := strings.TrimPrefix(fmt.Sprintf(verb, args...), "*pool.Pool of "); got != want {
			t.Errorf("%s: %s", verb, got)
		}
	}
	held := struct {
		Pool  *Pool
		inner *Pool
		S     *Session
	}{p, p, &Session{pool: p}}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "pool", p, "held", held)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "pool", p, "held", held)
	asJSON, _ := json.Marshal(p) //nolint:staticcheck // that nothing is exported is the point
	all := fmt.Sprintf("%+v %#v %s %v", held, held, asJSON, p.Config()) + log.String()
	if strings.Contains(all, "hush-hush") {
		t.Errorf("the password is in %s", all)
	}
	if !strings.Contains(log.String(), `\"orders\"`) {
		t.Errorf("log: %s", &log)
	}
}
