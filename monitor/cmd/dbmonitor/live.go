package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/live"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
)

// liveInterval is the time between two questions where --interval says nothing.
const liveInterval = 2 * time.Second

// live shows the full-screen view until the user leaves it, then says in a line
// or two how things stood.
func (w watchCmd) live(ctx context.Context, env environment, t terminal, clients []*source.Client) int {
	services := make([]live.Service, len(clients))
	for i, c := range clients {
		services[i] = live.Service{Name: c.Target().Name, Fetcher: c}
	}
	reports, err := live.Run(ctx, services, w.interval(liveInterval), t.in, t.out)
	switch {
	case errors.Is(err, live.ErrNoAnswer):
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(t.err, "dbmonitor: %s; try --plain\n", source.Sanitize(err.Error(), 300))
		return exitOutput
	}
	worst := report.Healthy
	for _, r := range reports {
		if err := (report.Text{Color: t.color(env)}).WriteBrief(t.out, r); err != nil {
			return exitOutput
		}
		worst = max(worst, r.Verdict.Level)
	}
	return worst.ExitCode()
}
