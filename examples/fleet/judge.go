package main

import (
	"errors"
	"fmt"
	"time"
)

// verdict is what the scenes showed.
type verdict struct {
	even, uneven           map[string]result
	evenRatio, unevenRatio float64 // the fleet's throughput over the fixed partition's
	attacks                []attack
	chaos                  chaosResult
}

// judge checks what is promised of a fleet, and prints each figure. Whether the
// fleet kept within what the server allows the server itself says: 53300.
func (s *scenario) judge(v verdict) error {
	fmt.Fprintln(s.out, "\nChecks")
	var failed []error
	check := func(ok bool, format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if ok {
			fmt.Fprintln(s.out, "  ok    ", line)
			return
		}
		fmt.Fprintln(s.out, "  FAILED", line)
		failed = append(failed, errors.New(line))
	}
	for _, load := range []struct {
		name    string
		results map[string]result
	}{{"even", v.even}, {"uneven", v.uneven}} {
		r := load.results[kindFleet].report
		check(r.Full+r.Refused == 0, "%s load: %d x 53300", load.name, r.Full+r.Refused)
		check(r.Failed == 0, "%s load: %d failed requests %s", load.name, r.Failed, r.Error)
		raw := load.results[kindSQL].report.Full
		check(raw > 0, "%s load, the control: database/sql had %d x 53300", load.name, raw)
	}
	check(v.evenRatio >= 0.95, "even load: %.0f %% of the fixed partition's throughput (at least 95 %%; median of %d pairs)", 100*v.evenRatio, versusRounds)
	check(v.unevenRatio > 1, "uneven load: %.0f %% of the fixed partition's throughput (more than 100 %%; median of %d pairs)", 100*v.unevenRatio, versusRounds)
	check(v.even[kindFleet].jain >= 0.95, "even load: fairness %.3f (at least 0.95)", v.even[kindFleet].jain)
	for _, a := range v.attacks {
		r := a.result
		check(r.report.Full+r.report.Refused <= a.refused, "%s: %d x 53300 (at most %d)", a.name, r.report.Full+r.report.Refused, a.refused)
		check(r.report.Failed <= a.failed, "%s: %d failed requests (at most %d) %s", a.name, r.report.Failed, a.failed, r.report.Error)
		check(r.least > 0, "%s: no replica starved; the least served %.1f/s", a.name, r.least)
	}
	c := v.chaos
	check(c.refused == 0, "kills and joins: %d x 53300 outside of the restart", c.refused)
	check(c.failed == 0, "kills and joins: %d failed requests outside of the restart", c.failed)
	check(c.recovered <= 10*time.Second, "kills: connections in use again after %s (at most 10s)", c.recovered.Round(100*time.Millisecond))
	return errors.Join(failed...)
}
