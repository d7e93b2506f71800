package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// scenario runs all parts of the demonstration on one server.
type scenario struct {
	opts options
	srv  *pgtest.Server
	dsn  string
	out  io.Writer
	log  *slog.Logger
}

// warmUp is for processes to start and pools to find their size; it is not counted.
const warmUp = 3 * time.Second

// result is what one kind of service achieved at one kind of load.
type result struct {
	kind   string
	report report
	rate   float64 // requests served per second
	jain   float64 // fairness among the replicas' requests served
	least  float64 // requests per second of the replica that served least
	peak   int     // the most sockets seen at the server: sessions, and what is refused or has ended but not gone
}

const (
	titleEven   = "Even load: 10 callers in each process"
	titleUneven = "Uneven load: 10 callers in two processes, one now and then in the others"
)

// play shows everything, and checks it if that was asked for.
func (s *scenario) play(ctx context.Context) error {
	usable := s.opts.connections - superuserSlots
	fmt.Fprintf(s.out, "%d processes that may open %d+%d connections each, on a server with max_connections=%d (%d for an ordinary role).\n",
		s.opts.replicas, poolSize, maxOverflow, s.opts.connections, usable)
	if s.opts.acceptance {
		return s.accept(ctx)
	}
	even, err := s.compare(ctx, titleEven, s.evenParts())
	if err != nil {
		return err
	}
	if _, err := s.compare(ctx, titleUneven, s.unevenParts()); err != nil {
		return err
	}
	c, err := s.chaos(ctx)
	if err != nil {
		return err
	}
	s.conclude(even, c)
	return nil
}

// conclude says in two sentences what was to be seen.
func (s *scenario) conclude(even map[string]result, c chaosResult) {
	raw, fleet := even[kindSQL], even[kindFleet]
	failed := func(r result) int { return r.report.Full + r.report.Failed + r.report.Refused }
	fmt.Fprintf(s.out, "\nWith database/sql %d requests were lost because the server was full, and a replica served as few as %.0f requests a second; "+
		"with DB_FLEET=enforce %d failed at %.0f served a second, and the slowest replica served %.0f.\n",
		failed(raw), raw.least, failed(fleet), fleet.rate, fleet.least)
	fmt.Fprintf(s.out, "When replicas were killed their connections were in use again after %s, and outside of the server's restart %d requests failed.\n",
		c.recovered.Round(100*time.Millisecond), c.failed+c.refused)
}

func (s *scenario) evenParts() []part {
	parts := make([]part, s.opts.replicas)
	for i := range parts {
		parts[i] = part{workers: 10}
	}
	return parts
}

func (s *scenario) unevenParts() []part {
	parts := s.evenParts()
	for i := 2; i < len(parts); i++ {
		parts[i] = part{workers: 1, pause: 100 * time.Millisecond}
	}
	return parts
}

// compare measures every kind at the same load and prints a table.
func (s *scenario) compare(ctx context.Context, title string, parts []part) (map[string]result, error) {
	fmt.Fprintf(s.out, "\n%s\n\n", title)
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tserved/s\tfailed/s\tp99\tof them 53300\tfailed in all\tleast served\tmost sockets\t")
	results := map[string]result{}
	for _, kind := range kinds {
		r, err := s.measure(ctx, kind, parts)
		if err != nil {
			return nil, errors.Join(err, table.Flush()) // with what there is
		}
		results[kind] = r
		failed := r.report.Full + r.report.Failed
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%s\t%d\t%d\t%.0f/s\t%d\t\n", kind, r.rate, float64(failed)/(warmUp.Seconds()+float64(s.opts.seconds)),
			r.report.Times.quantile(0.99).Round(100*time.Microsecond), r.report.Full, failed, r.least, r.peak)
	}
	return results, table.Flush()
}

// measure runs one kind for the seconds asked for.
func (s *scenario) measure(ctx context.Context, kind string, parts []part) (result, error) {
	return s.measureJoining(ctx, kind, parts, nil)
}

// measureJoining is measure with more replicas that join together when the measuring begins.
func (s *scenario) measureJoining(ctx context.Context, kind string, parts, joining []part) (result, error) {
	t, err := assemble(ctx, kind, s.dsn, parts)
	if err != nil {
		return result{}, err
	}
	defer t.leave()
	t.measure(true) // failures count from the start …
	rest(ctx, warmUp)
	if kind == kindStatic || kind == kindFleet {
		t.begun(ctx)
	}
	before, beforeEach, _ := t.totals() // … served requests from here
	began := time.Now()
	if err := t.enterAll(ctx, joining); err != nil {
		return result{}, err
	}
	peak := s.watch(ctx, time.Duration(s.opts.seconds)*time.Second)
	after, afterEach, _ := t.totals()
	r := result{kind: kind, report: after, peak: peak}
	r.rate = float64(after.OK-before.OK) / time.Since(began).Seconds()
	shares := make([]float64, len(afterEach))
	for i := range afterEach {
		shares[i] = float64(afterEach[i].OK)
		if i < len(beforeEach) {
			shares[i] -= float64(beforeEach[i].OK)
		}
	}
	r.jain = jain(shares)
	if len(shares) > 0 {
		r.least = slices.Min(shares) / time.Since(began).Seconds()
	}
	return r, ctx.Err()
}

// watch returns the most sockets at the server that it saw within d.
func (s *scenario) watch(ctx context.Context, d time.Duration) (peak int) {
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; rest(ctx, 50*time.Millisecond) {
		peak = max(peak, sockets(s.srv.Port))
	}
	return peak
}
