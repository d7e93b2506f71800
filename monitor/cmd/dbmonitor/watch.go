package main

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
)

// plainInterval is the time between two reports where --interval says nothing.
const plainInterval = 10 * time.Second

// fetcher is what the loop asks: a *source.Client.
type fetcher interface {
	Fetch(ctx context.Context, history int64) source.Snapshot
}

// report prints one report per service, or with --continuous one every interval
// until ctx ends. It returns the exit code of the last round.
func (w watchCmd) report(ctx context.Context, env environment, t terminal, clients []*source.Client) int {
	fetchers := make([]fetcher, len(clients))
	for i, c := range clients {
		fetchers[i] = c
	}
	r := reporter{
		fetchers: fetchers,
		before:   make([]*source.Snapshot, len(clients)),
		print:    w.printer(t.out, t.color(env)),
	}
	if !w.Continuous {
		return r.round(ctx)
	}
	return r.loop(ctx, w.interval(plainInterval))
}

// printer returns how one report is written: the first of a round, and the others.
func (w watchCmd) printer(out io.Writer, color bool) func(r report.Report) error {
	if w.JSON {
		return func(r report.Report) error { return report.WriteJSON(out, r) }
	}
	text := report.Text{Marks: w.Continuous, Color: color}
	first := true
	return func(r report.Report) error {
		if !first {
			if _, err := io.WriteString(out, "\n"); err != nil {
				return err
			}
		}
		first = false
		return text.Write(out, r)
	}
}

// reporter repeats rounds and remembers each service's last answer.
type reporter struct {
	fetchers []fetcher
	before   []*source.Snapshot
	print    func(report.Report) error
}

func (r *reporter) loop(ctx context.Context, interval time.Duration) int {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := exitInterrupted
	for {
		code := r.round(ctx)
		if ctx.Err() != nil && code == exitInterrupted {
			return last
		}
		if last = code; last == exitOutput {
			return last
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

// round asks every service at the same time and prints the answers in order.
// An answer cut short by the user's interrupt says nothing and is not printed.
func (r *reporter) round(ctx context.Context) int {
	snapshots := r.fetch(ctx)
	if ctx.Err() != nil {
		return exitInterrupted
	}
	worst := report.Healthy
	for i, s := range snapshots {
		rep := report.New(s, r.before[i])
		if err := r.print(rep); err != nil {
			return exitOutput
		}
		r.before[i] = &s
		worst = max(worst, rep.Verdict.Level)
	}
	return worst.ExitCode()
}

func (r *reporter) fetch(ctx context.Context) []source.Snapshot {
	snapshots := make([]source.Snapshot, len(r.fetchers))
	var wg sync.WaitGroup
	for i, f := range r.fetchers {
		wg.Go(func() { snapshots[i] = f.Fetch(ctx, -1) })
	}
	wg.Wait()
	return snapshots
}
