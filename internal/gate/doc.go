// Package gate decides who may hold a connection and counts the server's sessions:
// one state machine under one lock.
//
// A permit is the right to hold a connection. A slot is one session of the server
// as far as this pool is concerned, from its dial until the server has ended it. Both
// are given up in one step, which is what makes the limit exact, and so they are
// one package.
//
// The package does no I/O, starts no goroutine, and knows neither drivers nor
// networks. What has to be done as a consequence of a step it returns (Fate,
// Decision, StartDials, TakeFreed), for its caller to do outside the lock.
//
//	Enter ──▶ Granted ────────────────────▶ Release ──▶ the next in the queue, or warm
//	  └─────▶ Queued ──WaitTurn──▶ Granted      │
//	  └─────▶ Refused                           └─ the connection died: Lose, Again
package gate
