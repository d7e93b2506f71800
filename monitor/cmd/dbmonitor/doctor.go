package main

import (
	"context"
	"fmt"
	"io"
)

const doctorDescription = `Tell whether the fleet fits the database, and what to set.`

// doctorCmd is not here yet.
type doctorCmd struct {
	URL string `arg:"" name:"url" help:"DATABASE_URL, or the URL of a running service."`
}

func (d doctorCmd) run(ctx context.Context, env lookup, stdout, stderr io.Writer) int {
	fmt.Fprintln(stderr, "dbmonitor: doctor is not built in yet")
	return exitUsage
}
