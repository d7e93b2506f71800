package main

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// checks are what is promised of a fleet. Each is printed as soon as it is known, so that
// a run that is interrupted shows what it had; conclude prints them all in one list.
type checks struct {
	out    io.Writer
	lines  []string
	failed []error
}

func (c *checks) check(ok bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	line := "  ok     " + text
	if !ok {
		line = "  FAILED " + text
		c.failed = append(c.failed, errors.New(text))
	}
	c.lines = append(c.lines, line)
	fmt.Fprintln(c.out, line)
}

// conclude prints the list once more, in the form of docs/fleet.md, and says what failed. ended
// is why there are no more, if there should be.
func (c *checks) conclude(ended error) error {
	title := "All %d checks"
	if ended != nil {
		title = "The %d checks so far"
	}
	fmt.Fprintf(c.out, "\n"+title+"\n\n```text\n", len(c.lines))
	for _, line := range c.lines {
		fmt.Fprintln(c.out, line)
	}
	fmt.Fprintln(c.out, "```")
	return errors.Join(append(c.failed, ended)...)
}

// load checks a comparison. Whether the fleet kept within what the server allows the
// server itself says: 53300.
func (c *checks) load(name string, results map[string]result) {
	r := results[kindFleet].report
	c.check(r.Full+r.Refused == 0, "%s load: %d x 53300", name, r.Full+r.Refused)
	c.check(r.Failed == 0, "%s load: %d failed requests %s", name, r.Failed, r.Error)
	raw := results[kindSQL].report.Full
	c.check(raw > 0, "%s load, the control: database/sql had %d x 53300", name, raw)
}

func (c *checks) chaos(r chaosResult) {
	c.check(r.refused == 0, "kills and joins: %d x 53300 outside of the restart", r.refused)
	c.check(r.failed == 0, "kills and joins: %d failed requests outside of the restart", r.failed)
	c.check(r.recovered <= 10*time.Second, "kills: connections in use again after %s (at most 10s)", r.recovered.Round(100*time.Millisecond))
}

func (c *checks) attack(a attack) {
	r := a.result
	c.check(r.report.Full+r.report.Refused <= a.refused, "%s: %d x 53300 (at most %d)", a.name, r.report.Full+r.report.Refused, a.refused)
	c.check(r.report.Failed <= a.failed, "%s: %d failed requests (at most %d) %s", a.name, r.report.Failed, a.failed, r.report.Error)
	c.check(r.least > 0, "%s: no replica starved; the least served %.1f/s", a.name, r.least)
}
