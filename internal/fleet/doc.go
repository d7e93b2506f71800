// Package fleet lets the replicas of a service share one budget of sessions on
// a PostgreSQL server, with nothing but that server to meet at.
//
// PROTOCOL.md says what is read and written, when, what each failure does and
// why the sum keeps to the budget. In short: every session holds an advisory
// lock on a token of its own, and a token must be reserved before its session is
// dialed. The server forgets the locks of a session that is gone, so the fleet
// does too. Each replica looks at all locks now and then, computes everybody's
// fair part of the tokens, and claims or gives back.
//
// [View.Decide] is the policy, a pure function. [Fleet] is a replica's part of
// the protocol, [Locks] what it needs of a session, [Postgres] that on a real
// one, [Host] what it needs of the pool. [Proof] is the arithmetic for operators;
// [Watcher] computes it where nothing is enforced.
//
// The pool uses it so:
//
//	f := fleet.New(host, opts)
//	go f.Run(ctx)                           // calls host.SetShare
//	permit, ok := f.Permit()                // before each dial; false: not now
//	f.Refused(permit, full)                 // the dial failed
//	s, err := f.Enter(ctx, permit, locks)   // the dial succeeded; after an error: close
//	s.Surplus()                             // when it is given back: close it?
//	s.Gone()                                // the server has ended it
//	f.Wake()                                // callers wait and the share is used up
package fleet
