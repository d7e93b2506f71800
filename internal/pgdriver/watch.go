package pgdriver

import "context"

// watch cancels a connection's statement when the context of it ends. It stands
// in for pgx's own, which begins before the statement is sent: this one begins
// after that, while the server works, and so costs the caller nothing. What
// pgx does without a result or rows (prepare, begin, ping) pgx watches itself.
//
// Only the goroutine that uses the connection uses it.
type watch struct {
	canceller *canceller
	ctx       context.Context // of the statement under way; nil when there is none
	stop      func() bool     // nil until the watch has begun
	cancel    func()          // what happens when ctx ends
	canceled  chan struct{}   // that it has happened; room for one
}

func (w *watch) init(c *canceller) {
	w.canceller, w.canceled = c, make(chan struct{}, 1)
	w.cancel = func() {
		c.HandleCancel(context.Background()) // which it does not look at
		w.canceled <- struct{}{}
	}
}

// over returns the context to give to pgx for a statement that ends with ctx.
func (w *watch) over(ctx context.Context) context.Context {
	w.end() // of a statement whose rows are still open, though all were read
	w.ctx = ctx
	return endless{ctx}
}

// begin is called when the statement has been sent, or when sending it may take time.
func (w *watch) begin() {
	if w.ctx != nil && w.stop == nil && w.ctx.Done() != nil {
		w.stop = context.AfterFunc(w.ctx, w.cancel)
	}
}

// now cancels the statement, if its context has not done so already.
func (w *watch) now() {
	if w.stop != nil && !w.stop() {
		return
	}
	w.stop = func() bool { return false }
	w.cancel()
}

// end is called when the statement is over. If it was cancelled, that has to be over as well.
func (w *watch) end() {
	stop := w.stop
	w.ctx, w.stop = nil, nil
	if stop == nil || stop() {
		return
	}
	<-w.canceled
	w.canceller.HandleUnwatchAfterCancel()
}

// endless is a context that never ends: the watch ends the statement instead.
type endless struct{ context.Context }

// Done returns nil: there is nothing to wait for.
func (endless) Done() <-chan struct{} { return nil }
