package ecosystem

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/pool"
	_ "github.com/lib/pq"
)

// What those who come from lib/pq meet: pgx wants a text for a text, and gives no
// number for it. A pool over lib/pq's own *sql.DB takes their statements as they are.
func TestStatementsWrittenForLibPQ(t *testing.T) {
	const number, bytes = "select $1::text = '7'", `select $1::jsonb ->> 'a' = 'b'`
	object := []byte(`{"a": "b"}`)
	p := open(t, 1, 0)
	var same bool
	if err := p.QueryRowContext(t.Context(), number, 7).Scan(&same); err == nil || !strings.Contains(err.Error(), "unable to encode 7 into text") {
		t.Errorf("a number as a text: %v", err)
	}
	if err := p.QueryRowContext(t.Context(), number, "7").Scan(&same); err != nil || !same {
		t.Errorf("a text: %t, %v", same, err)
	}
	if err := p.QueryRowContext(t.Context(), bytes, object).Scan(&same); err != nil || !same {
		t.Errorf("bytes as jsonb: %t, %v", same, err)
	}
	inExec := open(t, 1, 0, func(cfg *config.Config) { cfg.DatabaseURL += "&default_query_exec_mode=exec" })
	if err := inExec.QueryRowContext(t.Context(), bytes, object).Scan(&same); err == nil {
		t.Error("in the mode exec, bytes are sent as bytea")
	}

	db, err := sql.Open("postgres", pgtest.Shared(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := pool.New(db, config.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	for query, arg := range map[string]any{number: 7, bytes: object} {
		if err := theirs.QueryRowContext(t.Context(), query, arg).Scan(&same); err != nil || !same {
			t.Errorf("%s over lib/pq: %t, %v", query, same, err)
		}
	}
}
