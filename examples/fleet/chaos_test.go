package main

import (
	"strings"
	"testing"
)

// Kills and joins cost no request of those that live on, and no refusal; the
// restart is in the table.
func TestFleetSurvivesKillsAndJoins(t *testing.T) {
	s, out := newScenario(t, "3")
	c, err := s.chaos(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("connections in use again after %v\n%s", c.recovered, out)
	if c.refused > 0 || c.failed > 0 || c.report.OK == 0 {
		t.Errorf("served %d; outside of the restart %d x 53300, %d failed: %s", c.report.OK, c.refused, c.failed, c.report.Error)
	}
	for _, want := range []string{"kill -9 of 2 replicas", "a replica joins", restartEvent} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the output", want)
		}
	}
}

// Few callers in each process: what once made replicas look and dial all the time.
func TestFleetMeetsAnAttack(t *testing.T) {
	s, _ := newScenario(t, "2")
	a := s.attacks()[1]
	if err := s.meet(t.Context(), &a); err != nil {
		t.Fatal(err)
	}
	if r := a.result; r.report.OK == 0 || r.report.Full+r.report.Refused > a.refused || r.report.Failed > a.failed || r.least == 0 {
		t.Errorf("%s: served %d, 53300 %d, failed %d: %s", a.name, r.report.OK, r.report.Full+r.report.Refused, r.report.Failed, r.report.Error)
	}
}
