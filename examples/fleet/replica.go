package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// request is one unit of work: it holds a connection for a time, 5 ms if nothing
// else is said, and costs the server next to nothing, so that connections are what
// is scarce.
func request(hold time.Duration) string { return fmt.Sprintf("select pg_sleep(%f)", hold.Seconds()) }

// errorPause is what a caller waits after a failure before it tries again.
const errorPause = 10 * time.Millisecond

// tick is how often a replica reports.
const tick = 500 * time.Millisecond

// report is what a replica did since its last report.
type report struct {
	OK      int     `json:"ok"`
	Full    int     `json:"full"`    // requests that failed with 53300
	Failed  int     `json:"failed"`  // requests that failed otherwise
	Refused int     `json:"refused"` // dials answered with 53300 that no request saw
	Error   string  `json:"error,omitempty"`
	Times   latency `json:"times"`
}

func (r *report) add(o report) {
	r.OK += o.OK
	r.Full += o.Full
	r.Failed += o.Failed
	r.Refused += o.Refused
	if r.Error == "" {
		r.Error = o.Error
	}
	r.Times.add(o.Times)
}

// runReplica is a child process: it works until its parent closes stdin or is
// gone, and reports on stdout.
func runReplica(ctx context.Context, opts options, dsn string, stdin io.Reader, stdout io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()
	all := make([]*worker, max(1, opts.pools))
	for i := range all {
		c, err := open(ctx, opts, dsn)
		if err != nil {
			return err
		}
		defer c.close()
		all[i] = &worker{client: c, statement: request(opts.hold)}
	}
	var wg sync.WaitGroup
	for _, w := range all {
		for range opts.workers {
			wg.Go(func() { w.work(ctx, opts.pause) })
		}
		if opts.reader > 0 {
			wg.Go(func() { w.read(ctx, opts.reader) })
		}
	}
	reportUntil(ctx, json.NewEncoder(stdout), all)
	wg.Wait()
	return nil
}

// worker sends requests one after the other, from several goroutines.
type worker struct {
	client    client
	statement string

	mu      sync.Mutex // guards report and refused
	report  report
	refused int // as told so far
}

func (w *worker) work(ctx context.Context, pause time.Duration) {
	for ctx.Err() == nil {
		began := time.Now()
		err := w.client.exec(context.WithoutCancel(ctx), w.statement)
		w.note(time.Since(began), err)
		if err != nil {
			rest(ctx, errorPause)
		}
		rest(ctx, pause)
	}
}

// read is a caller that pauses in the middle of a result, again and again, as one
// that writes each row to a slow client.
func (w *worker) read(ctx context.Context, pause time.Duration) {
	for ctx.Err() == nil {
		began := time.Now()
		err := w.client.read(context.WithoutCancel(ctx), "select repeat('x', 1000) from generate_series(1, 30000)", func() { rest(ctx, pause) })
		w.note(time.Since(began), err)
		if err != nil {
			rest(ctx, errorPause)
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (w *worker) note(took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.report.OK++
		w.report.Times.note(took)
	case serverFull(err):
		w.report.Full++
	default:
		w.report.Failed++
	}
	if err != nil {
		w.report.Error = err.Error()
	}
}

// reportUntil says what all workers did, until ctx ends.
func reportUntil(ctx context.Context, out *json.Encoder, all []*worker) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			var sum report
			for _, w := range all {
				sum.add(w.take())
			}
			if out.Encode(sum) != nil {
				return // nobody listens any more
			}
		}
	}
}

func (w *worker) take() report {
	refused := w.client.refused()
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.report
	r.Refused, w.refused = refused-w.refused, refused
	w.report = report{}
	return r
}
