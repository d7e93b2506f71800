// Package flap keeps the log short of what comes and goes.
package flap

import (
	"maps"
	"time"
)

const (
	// Within is how soon something must come again to be the same as before.
	Within = 10 * time.Minute
	// toldAgain is how long after a line the next one says that it still flaps.
	toldAgain = time.Hour
	// standing is after how long something that came again is told although it
	// flaps: it has not gone as it did before. The next time it has to stand twice as
	// long.
	standing = time.Minute
)

// State is something that comes and goes. To be told are its first coming, what
// stands, and once an hour that it goes on; that it went, when its coming was, so
// that the last line about it is true. The zero value has told nothing. It is not
// safe for concurrent use.
type State struct {
	on    bool
	since time.Time // when it came or went last
	loud  bool      // while on: that it came was told
	told  time.Time // when a coming was told last
	times int       // comings that were not told yet
	late  int       // how often it was told since because it stood
}

// Turn is what a look has found.
type Turn struct {
	News  bool // it came or went
	Tell  bool // the log is to have it
	Times int  // how often it came since the log had it last; 0 when it is not told, or went
}

// Look takes in whether it is there now.
func (s *State) Look(now time.Time, on bool) (t Turn) {
	switch {
	case on && !s.on:
		quiet := s.since.IsZero() || now.Sub(s.since) >= Within
		if quiet {
			s.times, s.late = 0, 0 // what was not told long ago is of no interest
		}
		s.on, s.since, s.loud = true, now, quiet || now.Sub(s.told) >= toldAgain
		s.times++
		t = Turn{News: true, Tell: s.loud}
	case on && !s.loud && now.Sub(s.since) >= standing<<min(s.late, 6):
		s.loud, t.Tell = true, true
		s.late++
	case s.on && !on:
		s.on, s.since = false, now
		return Turn{News: true, Tell: s.loud}
	}
	return s.telling(t, now)
}

// Once takes in something that came and is over at once.
func (s *State) Once(now time.Time) Turn {
	t := s.Look(now, true)
	s.Look(now, false)
	return t
}

// telling notes that what was found is told, if it is.
func (s *State) telling(t Turn, now time.Time) Turn {
	if t.Tell {
		t.Times, s.told, s.times = s.times, now, 0
	}
	return t
}

// IsNothing reports whether there is nothing new, and nothing to tell.
func (t Turn) IsNothing() bool { return t == Turn{} }

// Attrs adds how often it came, if more than once, to those of its line in the log.
func (t Turn) Attrs(attrs ...any) []any {
	if t.Times > 1 {
		attrs = append(attrs, "times", t.Times)
	}
	return attrs
}

// Spell is trouble of one kind at a time, each of which comes and goes as a State
// does. That the trouble is over is told when anything of it was. The zero value has
// told nothing. It is not safe for concurrent use.
type Spell struct {
	kind   string // that stands; empty for none
	loud   bool   // something was told since none stood
	states map[string]*State
}

// Stands takes in which kind stands now, and whether what stands differs within its
// kind from what was told: that is told a minute after the line before.
func (s *Spell) Stands(now time.Time, kind string, differs bool) Turn {
	if s.kind != kind && s.kind != "" {
		s.states[s.kind].Look(now, false)
	}
	s.kind = kind
	f := s.state(now, kind)
	t := f.Look(now, true)
	if !t.Tell && differs && now.Sub(f.told) >= standing {
		f.loud, t.Tell = true, true
		t = f.telling(t, now)
	}
	s.loud = s.loud || t.Tell
	return t
}

// Over takes in that nothing stands.
func (s *Spell) Over(now time.Time) Turn {
	if s.kind == "" {
		return Turn{}
	}
	s.states[s.kind].Look(now, false)
	t := Turn{News: true, Tell: s.loud}
	s.kind, s.loud = "", false
	return t
}

// state returns that of a kind, and forgets those that have been away for so long that
// they would be new.
func (s *Spell) state(now time.Time, kind string) *State {
	maps.DeleteFunc(s.states, func(k string, f *State) bool { return k != kind && !f.on && now.Sub(f.since) >= Within })
	if s.states == nil {
		s.states = map[string]*State{}
	}
	if s.states[kind] == nil {
		s.states[kind] = &State{}
	}
	return s.states[kind]
}
