package connstate

import "errors"

// CloseReason says why a connection is closed.
type CloseReason int32

// The reasons. CloseUnknown is that of a connection that may stay.
const (
	CloseUnknown  CloseReason = iota
	CloseRecycled             // it was old, or Pool.Recycle asked for it
	CloseSurplus              // beyond a limit, or idle for too long
	CloseBroken               // it had ended already
	CloseCanceled             // a cancel request for it may still arrive
	CloseUnclean              // it was given back in the middle of something
	CloseShutdown             // with the pool
)

// ErrReclaimed is what the former holder of a connection gets that was taken away from it.
var ErrReclaimed = errors.New("pool: connection reclaimed: it was held without a running statement for longer than DB_RECLAIM_AFTER allows, or with rows or a transaction whose context had long ended")
