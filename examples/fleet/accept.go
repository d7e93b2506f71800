package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	versusRounds  = 5
	versusSeconds = 4
	// startAndStop is what a scene takes besides warming up and being measured.
	startAndStop = 1500 * time.Millisecond
)

// accept plays all scenes and the attacks and checks what is promised. It says at the start
// how long that takes, and ends when it takes much longer, with the checks that it had.
func (s *scenario) accept(ctx context.Context) error {
	about := s.expected()
	most := about + about/8
	fmt.Fprintf(s.out, "All scenes take about %s, and are given up after %s.\n", about.Round(time.Second), most.Round(time.Second))
	within, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("not all scenes were played within %s: the machine is too busy", most.Round(time.Second)))
	defer cancel()
	c := &checks{out: s.out}
	err := s.scenes(within, c)
	if err != nil && within.Err() != nil {
		err = context.Cause(within)
	}
	return c.conclude(err)
}

// expected is how long accept takes on a machine that has nothing else to do.
func (s *scenario) expected() time.Duration {
	scene := func(seconds int) time.Duration {
		return warmUp + time.Duration(seconds)*time.Second + startAndStop
	}
	sum := time.Duration(2*len(kinds))*scene(s.opts.seconds) + scene(6*s.opts.seconds) + 2*2*versusRounds*scene(versusSeconds)
	for _, a := range s.attacks() {
		sum += scene(s.lasts(a))
	}
	return sum
}

func (s *scenario) scenes(ctx context.Context, c *checks) error {
	even, err := s.compare(ctx, titleEven, s.evenParts())
	if err != nil {
		return err
	}
	c.load("even", even)
	c.check(even[kindFleet].jain >= 0.95, "even load: fairness %.3f (at least 0.95)", even[kindFleet].jain)
	uneven, err := s.compare(ctx, titleUneven, s.unevenParts())
	if err != nil {
		return err
	}
	c.load("uneven", uneven)
	came, err := s.chaos(ctx)
	if err != nil {
		return err
	}
	c.chaos(came)
	if err := s.attack(ctx, c); err != nil {
		return err
	}
	ratio, err := s.versus(ctx, "even", s.evenParts())
	if err != nil {
		return err
	}
	c.check(ratio >= 0.95, "even load: %.0f %% of the fixed partition's throughput (at least 95 %%; median of %d pairs)", 100*ratio, versusRounds)
	if ratio, err = s.versus(ctx, "uneven", s.unevenParts()); err != nil {
		return err
	}
	c.check(ratio > 1, "uneven load: %.0f %% of the fixed partition's throughput (more than 100 %%; median of %d pairs)", 100*ratio, versusRounds)
	return nil
}

// versus measures the fleet and the fixed partition in turn, several times, and
// returns the median of the ratios of what they served: on a shared machine
// neighbours in time compare, and single runs do not.
func (s *scenario) versus(ctx context.Context, load string, parts []part) (float64, error) {
	fmt.Fprintf(s.out, "\n%s and %s in turn, %s load\n\n", kindStatic, kindFleet, load)
	short := s.lasting(versusSeconds)
	var ratios []float64
	for range versusRounds {
		static, err := short.measure(ctx, kindStatic, parts)
		if err != nil {
			return 0, err
		}
		fleet, err := short.measure(ctx, kindFleet, parts)
		if err != nil {
			return 0, err
		}
		ratios = append(ratios, fleet.rate/static.rate)
		fmt.Fprintf(s.out, "  %.0f/s and %.0f/s\n", static.rate, fleet.rate)
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2], nil
}

// lasting is the scenario with scenes of so many seconds.
func (s *scenario) lasting(seconds int) *scenario {
	other := *s
	other.opts.seconds = seconds
	return &other
}
