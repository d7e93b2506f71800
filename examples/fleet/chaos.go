package main

import (
	"context"
	"fmt"
	"time"
)

// chaosResult is what the last scene showed.
type chaosResult struct {
	report    report        // all of it
	refused   int           // 53300 outside of the restart
	failed    int           // failed requests outside of the restart
	recovered time.Duration // the longest time until killed replicas' connections were in use again
}

// event is something that happens to the fleet at a second of the scene.
type event struct {
	at      int
	what    string
	happens func() error
	ready   func() bool // it waits for that; nil: for nothing
}

// chaos kills and adds replicas and restarts the server while the service runs.
func (s *scenario) chaos(ctx context.Context) (chaosResult, error) {
	lasts := 6 * s.opts.seconds
	fmt.Fprintf(s.out, "\n%s while replicas and the server come and go, %d seconds\n\n", kindFleet, lasts)
	t, err := assemble(ctx, kindFleet, s.dsn, s.evenParts())
	if err != nil {
		return chaosResult{}, err
	}
	defer t.leave()
	t.measure(true)
	rest(ctx, warmUp)
	fmt.Fprintf(s.out, "%4s %9s %9s %9s %6s %7s\n", "s", "replicas", "sockets", "served/s", "53300", "failed")
	return s.run(ctx, t, s.plot(ctx, t, lasts), lasts)
}

// plot is what happens when.
func (s *scenario) plot(ctx context.Context, t *replicas, lasts int) []event {
	two := min(2, s.opts.replicas)
	kill := func(at int) event {
		return event{at: at, what: fmt.Sprintf("kill -9 of %d replicas", two), happens: func() error { t.kill(two); return nil }}
	}
	join := func(at int) event {
		return event{at: at, what: "a replica joins", happens: func() error { return t.enter(part{workers: 10}) }, ready: func() bool { return s.hasRoom(t) }}
	}
	return []event{
		kill(lasts / 8), join(2 * lasts / 8), join(2*lasts/8 + 1), join(3 * lasts / 8), kill(4 * lasts / 8),
		{at: 5 * lasts / 8, what: restartEvent, happens: func() error { return s.restart(ctx) }},
	}
}

// hasRoom reports whether the one slot that is kept for a newcomer is free: the one before has
// served and the others have made room. A deploy starts the next replica then, on a slow machine later.
func (s *scenario) hasRoom(t *replicas) bool {
	return t.allServe() && sockets(s.srv.Port) < s.opts.connections-superuserSlots
}

// superuserSlots is what PostgreSQL keeps from ordinary roles.
const superuserSlots = 3

const restartEvent = "the server restarts"

func (s *scenario) restart(ctx context.Context) error { return s.srv.Reboot(ctx) }

// settle is how long after a restart its effects may be felt: requests that
// were running when the server went are lost.
const settle = 5

func (s *scenario) run(ctx context.Context, t *replicas, plot []event, lasts int) (chaosResult, error) {
	var c chaosResult
	last, _, _ := t.totals()
	full := sockets(s.srv.Port)
	var killed time.Time
	restarted := -2 * settle
	for second := 1; (second <= lasts || len(plot) > 0 && second <= 2*lasts) && ctx.Err() == nil; second++ {
		note := ""
		if len(plot) > 0 && plot[0].at <= second && (plot[0].ready == nil || plot[0].ready()) {
			if err := plot[0].happens(); err != nil {
				return c, err
			}
			if note = plot[0].what; note == restartEvent {
				restarted = second
			} else if note[0] == 'k' {
				killed = time.Now()
			}
			plot = plot[1:]
		}
		s.watch(ctx, time.Second)
		now, _, live := t.totals()
		open := sockets(s.srv.Port)
		if !killed.IsZero() && open >= full {
			c.recovered, killed = max(c.recovered, time.Since(killed)), time.Time{}
		}
		refused, failed := now.Full+now.Refused-last.Full-last.Refused, now.Failed-last.Failed
		if second-restarted > settle {
			c.refused, c.failed = c.refused+refused, c.failed+failed
		}
		fmt.Fprintf(s.out, "%4d %9d %9d %9d %6d %7d  %s\n", second, live, open, now.OK-last.OK, refused, failed, note)
		last = now
	}
	if !killed.IsZero() {
		c.recovered = max(c.recovered, time.Since(killed))
	}
	c.report = last
	return c, ctx.Err()
}
