package main

import (
	"context"
	"fmt"
	"time"
)

// attack is a load that the fleet met in earlier versions with refusals, failures
// or replicas that starved.
type attack struct {
	name    string
	parts   []part
	joining []part        // more replicas at the same moment, in the middle of it
	lasts   time.Duration // 0: as long as a comparison
	refused int           // 53300 that cannot be avoided: for replicas that find the server full
	failed  int
	result  result
}

func (s *scenario) attacks() []attack {
	each := func(n int, p part) []part {
		parts := make([]part, n)
		for i := range parts {
			parts[i] = p
		}
		return parts
	}
	n := s.opts.replicas
	slow := each(n, part{workers: 3})
	slow[0].reader, slow[1].reader = 12*time.Second, 12*time.Second
	return []attack{
		{name: "steady long statements", parts: each(n, part{workers: 4, hold: 1500 * time.Millisecond}), lasts: 16 * time.Second, refused: n},
		{name: "few callers", parts: each(n, part{workers: 2})},
		{name: "slow readers", parts: slow, lasts: 26 * time.Second},
		{name: "blue/green", parts: each(n, part{workers: 3}), joining: each(n, part{workers: 3}), lasts: 15 * time.Second, refused: 10 * n, failed: 3 * n},
		{name: "more replicas than tokens", parts: each(n, part{workers: 1, budget: "4"}), lasts: 15 * time.Second, failed: 10 * n},
	}
}

// attack plays the attacks, prints a line for each, and checks it.
func (s *scenario) attack(ctx context.Context, c *checks) error {
	fmt.Fprintf(s.out, "\n%s under loads that once broke it\n\n", kindFleet)
	for _, a := range s.attacks() {
		if err := s.meet(ctx, &a); err != nil {
			return err
		}
		r := a.result
		fmt.Fprintf(s.out, "  %-26s served %.0f/s, failed %d, 53300 %d, least served by a replica %.1f/s, most sockets %d\n",
			a.name, r.rate, r.report.Failed, r.report.Full+r.report.Refused, r.least, r.peak)
		c.attack(a)
	}
	return nil
}

// lasts is how many seconds an attack is measured.
func (s *scenario) lasts(a attack) int {
	if a.lasts > 0 {
		return int(a.lasts.Seconds())
	}
	return s.opts.seconds
}

// meet measures the fleet under one attack.
func (s *scenario) meet(ctx context.Context, a *attack) (err error) {
	a.result, err = s.lasting(s.lasts(*a)).measureJoining(ctx, kindFleet, a.parts, a.joining)
	return err
}
