// A program outside the tree that uses dbpool as its README says: it serves one
// request on a real database and prints the answer.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/pool"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	cfg, err := config.FromEnv()
	if err != nil {
		return err
	}
	p, err := pool.Open(cfg)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Ready(ctx); err != nil {
		return err
	}
	server := httptest.NewServer(p.Middleware(http.HandlerFunc(answer)))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != "42" {
		return fmt.Errorf("%s: %q, %v", resp.Status, body, err)
	}
	fmt.Printf("a consumer outside the tree: %s %s\n", resp.Status, body)
	return nil
}

func answer(w http.ResponseWriter, r *http.Request) {
	var n int
	if err := pool.FromContext(r.Context()).QueryRowContext(r.Context(), "select 6 * 7").Scan(&n); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, n)
}
