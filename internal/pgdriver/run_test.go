package pgdriver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// inRig runs test in virtual time. At the end the session must be usable and
// in step: the next run gets its own answer.
func inRig(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		test(r)
		synctest.Wait()
		r.mu.Lock()
		err := r.err
		r.mu.Unlock()
		if err == nil {
			r.srv.uncancel()
			r.want(r.run(nil, r.plain("id=last rows=2")), "[last last] after 0s")
		}
		_ = r.link.pg.Close(context.Background())
		synctest.Wait()
	})
}

// want compares outcomes with how they print.
func (r *rig) want(got []outcome, want ...string) {
	r.t.Helper()
	for i, o := range got {
		if i >= len(want) || o.String() != want[i] {
			r.t.Errorf("call %d: %s, want %s", i, o, append(want, "nothing")[min(i, len(want))])
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.overs == 0 {
		r.t.Error("the session was not given back")
	}
	r.overs = 0
}

func TestRun(t *testing.T) {
	inRig(t, func(r *rig) {
		r.want(r.run(nil, r.plain("id=1"), r.writes("id=2 rows=0"), r.plain("id=3 rows=3 notice"), r.plain("id=4 fail=22012"), r.plain("id=5 pad=70000")),
			"[1] after 0s", "[] after 0s", "[3 3 3] after 0s", "ERROR: no (SQLSTATE 22012) after 0s", "[5] after 0s")
		if r.srv.parses != 2 {
			r.t.Errorf("parsed %d times, want once for each text", r.srv.parses)
		}
		if why := r.statement(plainSQL, Plain).Why(time.Now()); why != BecauseLarge {
			r.t.Errorf("after a large result: %s", why)
		}
	})
}

// What is wrong with one statement is that one's alone.
func TestRunErrorsAreTheirOwn(t *testing.T) {
	inRig(t, func(r *rig) {
		broken := r.call("select nonsense", Plain, "id=1")
		same := r.call("select nonsense", Plain, "id=2")
		r.want(r.run(nil, r.plain("id=0"), broken, same, r.plain("id=3 late=40001"), r.plain("id=4 stale"), r.plain("id=5")),
			"[0] after 0s", "again after 0s", "again after 0s", "ERROR: no (SQLSTATE 40001) after 0s", "again after 0s", "[5] after 0s")
		// What was stale is prepared again, ahead of the next run.
		r.statement(plainSQL, Plain)
		r.want(r.run(nil, r.plain("id=6")), "[6] after 0s")
		if r.srv.parses != 3 || r.srv.closes != 2 {
			r.t.Errorf("parsed %d, closed %d", r.srv.parses, r.srv.closes)
		}
	})
}

func TestRunStatementsForgotten(t *testing.T) {
	inRig(t, func(r *rig) {
		r.want(r.run(nil, r.plain("id=1")), "[1] after 0s")
		r.srv.forgetAll()
		r.want(r.run(nil, r.plain("id=2"), r.plain("id=3")), "again after 0s", "again after 0s")
		r.want(r.run(nil, r.plain("id=4"), r.plain("id=5")), "[4] after 0s", "[5] after 0s")
	})
}

// A caller whose context ends leaves at once; the others notice nothing.
func TestRunCallerLeaves(t *testing.T) {
	for name, leaver := range map[string]int{"first": 0, "running": 1, "behind": 2} {
		t.Run(name, func(t *testing.T) {
			inRig(t, func(r *rig) {
				r.expectLong()
				ctxs := make([]context.Context, 4)
				ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Millisecond)
				defer cancel()
				ctxs[leaver] = ctx
				want := []string{"[0] after 9ms", "[1] after 9ms", "[2] after 9ms", "[3] after 9ms"}
				want[leaver] = "left after 3ms"
				if leaver == 0 { // its answer was there
					want[0] = "[0] after 3ms"
				}
				r.want(r.run(ctxs, r.plain("id=0"), r.plain("id=1 sleep=5ms"), r.plain("id=2 sleep=4ms"), r.plain("id=3")), want...)
				if r.cancels != 0 {
					r.t.Errorf("%d cancel requests", r.cancels)
				}
			})
		})
	}
}

// expectLong makes the statements of the rig ones that take their time, so that
// nothing overruns.
func (r *rig) expectLong() { r.statement(plainSQL, Plain).cost.Store(int64(time.Second)) }

// The reading goes from caller to caller, whoever leaves.
func TestRunLeadersLeave(t *testing.T) {
	inRig(t, func(r *rig) {
		r.expectLong()
		ctxs := make([]context.Context, 4)
		for i := range 3 {
			ctx, cancel := context.WithTimeout(r.t.Context(), time.Duration(i+1)*time.Millisecond)
			defer cancel()
			ctxs[i] = ctx
		}
		r.want(r.run(ctxs, r.plain("id=0 sleep=10ms"), r.plain("id=1"), r.plain("id=2"), r.plain("id=3")),
			"left after 1ms", "left after 2ms", "left after 3ms", "[3] after 10ms")
	})
}

// When nobody waits any more, the session is read to the end of the run and
// given back, and what overran is cancelled.
func TestRunEverybodyLeaves(t *testing.T) {
	inRig(t, func(r *rig) {
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Millisecond)
		defer cancel()
		got := r.run([]context.Context{ctx, ctx}, r.plain("id=0 sleep=1m"), r.plain("id=1"))
		time.Sleep(overrunGrace)
		synctest.Wait()
		r.want(got, "left after 1ms", "left after 1ms")
		if r.cancels != 1 {
			r.t.Errorf("%d cancel requests", r.cancels)
		}
	})
}

// A leader that is answered does not wait for the statement of another.
func TestRunLeaderIsNotKept(t *testing.T) {
	inRig(t, func(r *rig) {
		r.want(r.run(nil, r.plain("id=0"), r.plain("id=1 sleep=1m"), r.plain("id=2"), r.writes("id=3")),
			"[0] after 20ms", "again after 1.02s", "again after 20ms", "[3] after 1.02s")
		if r.statement(plainSQL, Plain).heat.Load() == 0 {
			r.t.Error("nobody noted that the statement was slow")
		}
	})
}

// A statement that overruns, with nobody behind it who could not go elsewhere,
// is its caller's alone from then on, and nobody cancels it.
func TestRunOverrunEndsByItself(t *testing.T) {
	inRig(t, func(r *rig) {
		r.want(r.run(nil, r.plain("id=0"), r.plain("id=1 sleep=1m"), r.plain("id=2")),
			"[0] after 20ms", "[1] after 1m0s", "again after 20ms")
		if r.cancels != 0 {
			r.t.Errorf("%d cancel requests", r.cancels)
		}
	})
}

// A cancel request that comes late hits the next statement, which is run again.
func TestRunLateCancel(t *testing.T) {
	inRig(t, func(r *rig) {
		r.lag = 10 * time.Millisecond
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Millisecond)
		defer cancel()
		r.want(r.run([]context.Context{nil, ctx}, r.plain("id=0"), r.plain("id=1 sleep=25ms"), r.writes("id=2 sleep=10ms"), r.writes("id=3")),
			"[0] after 20ms", "left after 1ms", "again after 30ms", "[3] after 30ms")
		if r.srv.committed["2"] != 0 || r.srv.committed["3"] != 1 {
			r.t.Errorf("committed: %v", r.srv.committed)
		}
	})
}

// When the session ends, whole answers count. What was being executed gets the
// error; what stood behind the server's last word is run again.
func TestRunSessionEnds(t *testing.T) {
	t.Run("with a word", func(t *testing.T) {
		inRig(t, func(r *rig) {
			r.want(r.run(nil, r.writes("id=0"), r.writes("id=1 die=57P01"), r.writes("id=2")),
				"[0] after 0s", "FATAL: the end (SQLSTATE 57P01) after 0s", "again after 0s")
		})
	})
	t.Run("without a word", func(t *testing.T) {
		inRig(t, func(r *rig) {
			r.want(r.run(nil, r.writes("id=0"), r.writes("id=1 vanish"), r.writes("id=2")),
				"[0] after 0s", ErrLost.Error()+" after 0s", ErrLost.Error()+" after 0s")
		})
	})
	t.Run("before it was used", func(t *testing.T) {
		inRig(t, func(r *rig) {
			r.srv.kill(shutdown)
			r.want(r.run(nil, r.writes("id=0"), r.writes("id=1")), "again after 0s", "again after 0s")
		})
	})
}

// What does not fit on the way at once is sent when there is room.
func TestRunBoundsWhatIsOnItsWay(t *testing.T) {
	inRig(t, func(r *rig) {
		var calls []*Call
		var want []string
		long := " x" + string(make([]byte, 3000))
		for range 40 {
			calls = append(calls, r.plain("id=1"+long))
			want = append(want, "[1] after 0s")
		}
		r.want(r.run(nil, calls...), want...)
	})
}

// A caller that left before anything was sent is left out.
func TestRunLeavesOut(t *testing.T) {
	inRig(t, func(r *rig) {
		ended, cancel := context.WithCancel(r.t.Context())
		cancel()
		r.want(r.run([]context.Context{ended}, r.writes("id=0"), r.writes("id=1")), "left after 0s", "[1] after 0s")
		if r.srv.started["0"] != 0 {
			r.t.Error("executed although its caller had left")
		}
	})
}
