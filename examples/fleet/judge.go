package main

import (
	"errors"
	"fmt"
	"time"
)

// judge checks what is promised of a fleet, and prints each figure.
func (s *stage) judge(even, uneven map[string]result, c churned, usable int) error {
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
	for name, results := range map[string]map[string]result{"even": even, "uneven": uneven} {
		r := results[kindFleet]
		check(r.report.Full+r.report.Refused == 0, "%s load: %d x 53300", name, r.report.Full+r.report.Refused)
		check(r.report.Failed == 0, "%s load: %d failed requests %s", name, r.report.Failed, r.report.Error)
		check(r.peak <= usable, "%s load: %d sessions at most, of %d", name, r.peak, usable)
	}
	ratio := even[kindFleet].rate / even[kindStatic].rate
	check(ratio >= 0.95, "even load: %.0f %% of the fixed partition's throughput (at least 95 %%)", 100*ratio)
	ratio = uneven[kindFleet].rate / uneven[kindStatic].rate
	check(ratio > 1, "uneven load: %.0f %% of the fixed partition's throughput (more than 100 %%)", 100*ratio)
	check(even[kindFleet].jain >= 0.95, "even load: fairness %.3f (at least 0.95)", even[kindFleet].jain)
	check(even[kindSQL].report.Full > 0, "the control: database/sql had %d x 53300 at even load", even[kindSQL].report.Full)
	check(c.refused == 0, "kills and joins: %d x 53300 outside of the restart", c.refused)
	check(c.failed == 0, "kills and joins: %d failed requests outside of the restart %s", c.failed, c.report.Error)
	check(c.recovered <= 10*time.Second, "kills: connections in use again after %s (at most 10s)", c.recovered.Round(100*time.Millisecond))
	return errors.Join(failed...)
}
