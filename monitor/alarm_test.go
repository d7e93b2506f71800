package monitor

import (
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/pool"
)

func TestClearLevel(t *testing.T) {
	for threshold, want := range map[int]float64{100: 90, 80: 70, 40: 30, 20: 15, 4: 3, 1: 0.75} {
		if got := clearLevel(threshold); got != want {
			t.Errorf("a threshold of %d clears below %v, want %v", threshold, got, want)
		}
	}
}

func TestAlarmHysteresis(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, tc := range []struct {
		name    string
		usage   []float64 // one a second
		changes []int     // seconds at which the alarm is to change
	}{
		{"at the threshold", []float64{79.9, 80}, []int{1}},
		{"a spike of one second", []float64{0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []int{1, 12}},
		{"once while high", []float64{80, 90, 100, 85, 80, 79, 75}, []int{0}},
		{"not at the clear level", []float64{80, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70}, []int{0}},
		{"ten seconds below", []float64{80, 69, 69, 69, 69, 69, 69, 69, 69, 69, 69, 69, 69}, []int{0, 11}},
		{"a relapse starts the ten seconds over", []float64{80, 60, 60, 60, 60, 60, 60, 60, 75, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60}, []int{0, 19}},
		{"breathing around the threshold", []float64{80, 0, 80, 0, 80, 0, 80, 0, 80, 0, 80}, []int{0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a alarm
			var changes []int
			for s, usage := range tc.usage {
				at := start.Add(time.Duration(s) * time.Second)
				if a.update(at, usage, 80).News {
					changes = append(changes, s)
				}
				if a.on == a.begin().IsZero() {
					t.Errorf("second %d: on is %v, begun at %v", s, a.on, a.begin())
				}
			}
			if len(changes) != len(tc.changes) {
				t.Fatalf("changed at %v, want %v", changes, tc.changes)
			}
			for i := range changes {
				if changes[i] != tc.changes[i] {
					t.Errorf("changed at %v, want %v", changes, tc.changes)
				}
			}
		})
	}
}

// All connections are in use for 81 % of the time, out of step with whoever looks.
func TestUsageAlarmGoesByTime(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, tc := range []struct {
		name  string
		above time.Duration // of each second
		wrong bool
		usage float64
		want  int // the second in which it is raised; -1: never
	}{
		{"full for 81 % of the time", 810 * time.Millisecond, false, 0, 9},
		{"full for a third of the time", 330 * time.Millisecond, false, 100, -1},
		{"full, and callers wait in vain", 0, true, 100, 0},
		{"callers wait in vain for another reason", 0, true, 10, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a usageAlarm
			raised := -1
			for s := range 60 {
				if a.update(start.Add(time.Duration(s)*time.Second), tc.usage, 80, pool.UsageSample{Span: time.Second, Above: tc.above}, tc.wrong).News && raised < 0 {
					raised = s
				}
			}
			if raised != tc.want || a.on != (tc.want >= 0) {
				t.Errorf("raised in second %d, on %v; want %d", raised, a.on, tc.want)
			}
		})
	}
}

func TestPeaksComeFromTheGate(t *testing.T) {
	inBubble(t, func(t *testing.T, r running) {
		r.src.Burst(9)
		tick()
		if p := r.Status().Pool; p.PeakInUse != 9 || p.CheckedOut != 0 {
			t.Errorf("%+v", p)
		}
	})
}
