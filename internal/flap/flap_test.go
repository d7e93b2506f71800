package flap

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// story plays what is there at each time, "on" or "off", and returns what was told.
func story(s *State, events ...string) string {
	var told []string
	for _, e := range events {
		at, is, _ := strings.Cut(e, " ")
		d, err := time.ParseDuration(at)
		if err != nil {
			panic(err)
		}
		if t := s.Look(time.Unix(0, 0).Add(d), is == "on"); t.Tell {
			told = append(told, fmt.Sprint(e, t.Attrs()))
		}
	}
	return strings.Join(told, ", ")
}

func TestLook(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []string
		want   string
	}{
		{"comes, stays, goes", []string{"0s off", "1s on", "2s on", "2h on", "3h off", "4h off"}, "1s on[], 3h off[]"},
		{"comes again soon, and goes soon", []string{"1s on", "20s off", "40s on", "50s off", "9m on", "9m30s off"}, "1s on[], 20s off[]"},
		{"comes again and stays", []string{"1s on", "20s off", "40s on", "99s on", "100s on", "5m on", "6m off"}, "1s on[], 20s off[], 100s on[], 6m off[]"},
		{"came often and stays", []string{"1s on", "2s off", "3s on", "4s off", "5s on", "2m on", "3m off"}, "1s on[], 2s off[], 2m on[times 2], 3m off[]"},
		{"comes again and stays, again and again", []string{"1s on", "20s off", "40s on", "2m on", "3m off", "4m on", "5m30s on", "5m50s off", "6m on", "8m on"},
			"1s on[], 20s off[], 2m on[], 3m off[], 8m on[times 2]"},
		{"comes again after a rest", []string{"1s on", "20s off", "10m19s off", "10m20s on", "10m21s off"}, "1s on[], 20s off[], 10m20s on[], 10m21s off[]"},
		{"stays long, comes again soon", []string{"1s on", "30m off", "31m on", "31m10s off"}, "1s on[], 30m off[]"},
		{"never comes", []string{"1s off", "2s off"}, ""},
	} {
		if got := story(&State{}, c.events...); got != c.want {
			t.Errorf("%s: told %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSpell(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []string // "over", a kind, or a kind with what stands
		want   string
	}{
		{"one kind", []string{"1s full", "2s full", "9s over"}, "1s full[], 9s over[]"},
		{"one after the other", []string{"1s down", "2s starting", "9s over"}, "1s down[], 2s starting[], 9s over[]"},
		{"two in turn", []string{"1s a", "2s b", "3s a", "4s b", "5s a", "9s over"}, "1s a[], 2s b[], 9s over[]"},
		{"again soon", []string{"1s a", "2s over", "3s a", "4s b", "5s over"}, "1s a[], 2s over[], 4s b[], 5s over[]"},
		{"again soon, and nothing else", []string{"1s a", "2s over", "3s a", "5s over"}, "1s a[], 2s over[]"},
		{"another of the kind, at once", []string{"1s lock pid 1", "2s lock pid 2", "3s over"}, "1s lock pid 1[], 3s over[]"},
		{"another of the kind that stays", []string{"1s lock pid 1", "2s lock pid 2", "61s lock pid 2", "62s lock pid 2", "70s over"}, "1s lock pid 1[], 61s lock pid 2[], 70s over[]"},
		{"another of the kind later", []string{"1s lock pid 1", "90s lock pid 2", "91s over"}, "1s lock pid 1[], 90s lock pid 2[], 91s over[]"},
		{"nothing", []string{"1s over"}, ""},
	} {
		var s Spell
		var told []string
		last := ""
		for _, e := range c.events {
			at, is, _ := strings.Cut(e, " ")
			d, err := time.ParseDuration(at)
			if err != nil {
				t.Fatal(err)
			}
			kind, _, _ := strings.Cut(is, " ")
			var turn Turn
			if is == "over" {
				turn = s.Over(time.Unix(0, 0).Add(d))
			} else {
				turn = s.Stands(time.Unix(0, 0).Add(d), kind, is != last)
			}
			if turn.Tell {
				told, last = append(told, fmt.Sprint(e, turn.Attrs())), is
			}
		}
		if got := strings.Join(told, ", "); got != c.want {
			t.Errorf("%s: told %s, want %s", c.name, got, c.want)
		}
	}
}

// A kind that was away for long is news again, and takes no memory until then.
func TestSpellForgets(t *testing.T) {
	var s Spell
	now := time.Unix(0, 0)
	for i := range 1000 {
		s.Stands(now, fmt.Sprint(i), false)
		s.Over(now.Add(time.Second))
		now = now.Add(time.Minute)
	}
	if n := len(s.states); n > 11 {
		t.Errorf("%d kinds are remembered", n)
	}
}

// What flaps all day is told once an hour, with how often it came, and each time
// also that it went.
func TestWhatFlapsAllDayIsToldEachHour(t *testing.T) {
	var s State
	came, went, times := 0, 0, 0
	for at := time.Unix(0, 0); at.Before(time.Unix(24*3600, 0)); at = at.Add(30 * time.Second) {
		if turn := s.Look(at, true); turn.Tell {
			came, times = came+1, times+turn.Times
		}
		if s.Look(at.Add(10*time.Second), false).Tell {
			went++
		}
	}
	if came != 24 || went != 24 || times != 1+23*120 {
		t.Errorf("came told %d times (%d comings), went %d times", came, times, went)
	}
}
