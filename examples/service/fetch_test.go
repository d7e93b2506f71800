package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// repository serves the machine's own binaries in the form that
// embedded-postgres fetches: a tar.xz in a zip. Links are enough, for
// PostgreSQL finds its own files from where its program really is.
func repository(t *testing.T) *httptest.Server {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	bin, err := pgtest.FindBin(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres", "pg_ctl"} {
		if err := os.Symlink(filepath.Join(bin, name), filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	txz, err := exec.Command("tar", "-C", dir, "-cJf", "-", "bin").Output()
	if err != nil {
		t.Fatalf("tar with xz: %v", err)
	}
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	f, err := z.Create("postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(txz); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".jar") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(jar.Bytes())
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections) // embedded-postgres uses it
	return srv
}

func TestFetchedBinariesServe(t *testing.T) {
	cache := filepath.Join(openDir(t), "cache")
	for range 2 { // the second replaces the first
		bin, err := fetchBinaries(t.Context(), repository(t).URL, cache)
		if err != nil {
			t.Fatal(err)
		}
		srv := pgtest.Start(t, pgtest.Options{Bin: bin})
		if _, err := prepare(t.Context(), srv); err != nil {
			t.Error(err)
		}
		srv.Stop()
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "*")); len(left) != 1 {
		t.Errorf("the cache holds %v", left)
	}
}

func TestFetchFailsPlainly(t *testing.T) {
	nothing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	t.Cleanup(nothing.Close)
	cache := filepath.Join(t.TempDir(), "cache")
	if _, err := fetchBinaries(t.Context(), nothing.URL, cache); err == nil || !strings.Contains(err.Error(), "no version found") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "*")); len(left) != 0 {
		t.Errorf("the cache holds %v", left)
	}
}

func TestFetchStopsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	t.Cleanup(hangs.Close)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fetchBinaries(ctx, hangs.URL, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
}
