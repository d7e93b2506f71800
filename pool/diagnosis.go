package pool

import (
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/internal/connstate"
	"github.com/dbpool-go/dbpool/internal/diagnosis"
	"github.com/dbpool-go/dbpool/internal/gate"
)

// Diagnosis says why callers get no connection, in a sentence that is the same
// in errors, logs, health reports and dbmonitor. The zero value says that
// nothing is wrong.
type Diagnosis struct {
	Verdict  Verdict   // the cause
	Culprit  string    // a session, a file:line, an application; empty when nobody in particular is the cause
	Since    time.Time // since when; zero when that is not known
	Command  string    // SQL that helps at once; empty when there is none
	Sentence string    // all of it, for people
	Seen     time.Time // when the server was seen, if the diagnosis rests on ObserveServer; else zero
}

// ServerView is what somebody who asked the server saw there of interest to a
// caller that waits. A monitor hands it to Pool.ObserveServer.
type ServerView struct {
	At           time.Time // when the server was asked, by this process's clock; zero when it never answered
	Role         string    // whom the pool logs in as
	Superuser    bool      // that role is a superuser
	Sessions     int       // client sessions of everybody
	Usable       int       // sessions that this role could have
	Free         int       // how many more it could open
	Applications []ServerApplication
	LockWaiting  []uint32 // the server processes that wait for a lock
	Blockers     []ServerBlocker
	Silent       time.Time // since when a connected server has not answered; zero when it has

	// KeepPlace keeps a place within the limit for whoever observes the server,
	// for a minute from now. It is lent to callers when they hold all others,
	// none has come back for a second, and this view shows that they wait for
	// no lock.
	KeepPlace bool
}

// ServerApplication is the sessions of one application, listed with the most first.
type ServerApplication struct {
	Name     string
	Sessions int
}

// ServerBlocker is a session that others wait for and that waits for nobody,
// listed with the one that blocks most first.
type ServerBlocker struct {
	PID         uint32 // 0 for a prepared transaction
	Application string
	Role        string
	State       string        // as pg_stat_activity has it; empty when hidden
	For         time.Duration // how long it has been in that state; 0 when hidden
	Blocks      []uint32      // who waits for it, directly or not
}

// ObserveServer tells the pool what was seen of its server, so that errors and
// Diagnose can name who holds a lock and who has the server's sessions. The pool
// keeps what it was told last. It may be called concurrently.
//
// With KeepPlace one connection is kept from callers, as soon as the limit is 5
// or more, for statements in LaneProbe: otherwise nobody could ask a server for
// which all connections wait. Callers have it as well while it is known that
// nothing is wrong: see ServerView.KeepPlace.
func (p *Pool) ObserveServer(v ServerView) {
	p.server.Store(&v)
	now := time.Now()
	p.gate.KeepPlace(v.KeepPlace, now)
	switch d := p.Diagnose(); {
	case d.Verdict == VerdictLock || d.Verdict == VerdictServerHung:
		p.gate.Lend(false, now)
	case p.gate.WantsKept(now) && now.Sub(v.At) < gate.LendAfter:
		p.gate.Lend(true, now)
		p.gate.Demand()
	}
}

// Diagnose says why callers get no connection now, or what is about to keep
// them from it, such as a leak. It costs a snapshot and a look at the holders.
func (p *Pool) Diagnose() Diagnosis {
	s := p.scene(p.figures())
	return diagnosed(diagnosis.Of(s))
}

func diagnosed(d diagnosis.Diagnosis) Diagnosis {
	return Diagnosis{Verdict: Verdict(d.Cause), Culprit: d.Culprit, Since: d.Since, Command: d.Command, Sentence: d.Sentence, Seen: d.Seen}
}

// diagnosisKept is how long callers that are refused at once are told the same,
// so that refusing stays cheap.
const diagnosisKept = 200 * time.Millisecond

// recentDiagnosis is one that was made for a refused caller a moment ago.
type recentDiagnosis struct {
	at time.Time
	Diagnosis
}

// diagnoseRefusal is the diagnosis for callers that are refused at once.
func (p *Pool) diagnoseRefusal(s Stats, wait time.Duration) Diagnosis {
	if last := p.refusals.Load(); last != nil && s.At.Sub(last.at) < diagnosisKept {
		return last.Diagnosis
	}
	scene := p.scene(s)
	scene.Failed, scene.Waited = true, max(scene.Waited, wait)
	d := diagnosed(diagnosis.Of(scene))
	p.refusals.Store(&recentDiagnosis{s.At, d})
	return d
}

// scene is the pool at the moment of s, for somebody who is nobody in particular.
func (p *Pool) scene(s Stats) diagnosis.Scene {
	view, silent := p.serverView()
	out := diagnosis.Scene{
		At: s.At, Limit: s.Limit, MaxOpen: s.MaxOpen(), InUse: s.InUse, Idle: s.Idle, Dialing: s.Dialing, Closing: s.Closing, Waiting: s.Waiting, Kept: s.Kept,
		BackgroundUse: s.Lanes[LaneBackground].InUse, BackgroundCap: gate.BackgroundCap(s.Limit), Timeout: p.cfg.StatementTimeout,
		Access: p.access(s), View: view, Silent: silent,
	}
	if s.Fleet.Mode == config.FleetEnforce {
		out.Fleet = diagnosis.Fleet{Replicas: s.Fleet.Replicas, Usable: s.Fleet.Usable}
	}
	pressure := p.gate.Pressure(s.At)
	out.Usual, out.Waited, out.NestedWaiting = pressure.Usual, pressure.Waited, pressure.Nested
	out.Own, out.Unended, out.UnendedFor = pressure.Own, pressure.Unended, pressure.UnendedFor
	out.Holders = p.holdersFor(view, s.At)
	return out
}

func (p *Pool) access(s Stats) diagnosis.Access {
	a := diagnosis.Access{OK: s.Server.OK, Full: p.gate.ServerFull(), Reason: string(s.Server.Reason), Since: s.Server.Since, NoAnswer: s.Server.Reason == ReasonNoAnswer}
	if d := s.LastDialError; d != nil && !s.Server.OK {
		a.Remedy, a.Rejects = d.Remedy, d.Permanent
		if a.Full && d.Remedy != "" && s.Fleet.Mode == config.FleetEnforce {
			a.Remedy = remedyFleetFull
		}
	}
	return a
}

// remedyFleetFull is for a server that has no room for a replica that keeps to a
// shared budget: it is not its own settings that fill the server.
const remedyFleetFull = "see who has the connections (dbmonitor doctor), run fewer replicas, or raise max_connections or the CONNECTION LIMIT"

func (p *Pool) serverView() (*diagnosis.View, time.Time) {
	v := p.server.Load()
	if v == nil {
		return nil, time.Time{}
	}
	if v.At.IsZero() {
		return nil, v.Silent
	}
	out := &diagnosis.View{
		At: v.At, Role: v.Role, Application: p.cfg.ApplicationName, Superuser: v.Superuser,
		Sessions: v.Sessions, Usable: v.Usable, Free: v.Free, Waiting: v.LockWaiting,
	}
	for _, a := range v.Applications {
		out.Applications = append(out.Applications, diagnosis.Application(a))
	}
	for _, b := range v.Blockers {
		out.Blockers = append(out.Blockers, diagnosis.Blocker(b))
	}
	return out, v.Silent
}

// holdersFor describes all holders, but names only those that a diagnosis may
// name: where a connection was asked for is costly to look up.
func (p *Pool) holdersFor(view *diagnosis.View, now time.Time) []diagnosis.Holder {
	held := p.gate.Oldest(0)
	out := make([]diagnosis.Holder, len(held))
	background, leak := false, false
	for i := range held {
		k, h := &held[i], &out[i]
		h.Held, h.Doing, h.Background = max(0, now.Sub(k.Since)), diagnosis.Doing(connstate.ActivityName(k.Activity)), k.Lane == gate.Background
		if k.Slot != nil {
			h.PID = k.Slot.PID
		}
		h.Leaking = p.leaks(k, h.Held)
		leaks := h.Leaking && h.Doing != diagnosis.Running
		if i == 0 || h.Background && !background || leaks && !leak || blocks(view, h.PID) {
			h.Who = p.whoAsked(k)
		}
		background, leak = background || h.Background, leak || leaks
	}
	return out
}

func blocks(view *diagnosis.View, pid uint32) bool {
	if view == nil || pid == 0 {
		return false
	}
	for _, b := range view.Blockers {
		if b.PID == pid {
			return true
		}
	}
	return false
}

// whoAsked is "api/report.go:88 (GET /report)".
func (p *Pool) whoAsked(k *gate.Holding) string {
	if k.Name == "" {
		return caller(k.Callsite).place(p.plumbing)
	}
	return caller(k.Callsite).place(p.plumbing) + " (" + k.Name + ")"
}
