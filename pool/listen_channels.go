package pool

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// listeners are those who listen to a pool's notifications: what they want, what
// the session that they share listens to, and what each is still to be told. The
// zero value is ready for use.
type listeners struct {
	mu      sync.Mutex // guards what follows, and the listeners
	all     map[*listener]struct{}
	closed  bool
	running chan struct{}      // closed when the goroutine that has the session ends; nil without one
	stop    context.CancelFunc // ends it
	rouse   context.CancelFunc // ends its wait for notifications; nil while it does not wait
}

// listen adds l, and sees to it that somebody has the session for it.
func (p *Pool) listen(l *listener) error {
	s := &p.listeners
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || p.closed.Load() {
		return p.errClosed()
	}
	if s.all == nil {
		s.all = make(map[*listener]struct{})
	}
	s.all[l] = struct{}{}
	if s.running == nil {
		ctx, cancel := context.WithCancel(context.Background())
		s.running, s.stop = make(chan struct{}), cancel
		go p.keepListening(ctx, p.callers.Capture(), s.running)
	}
	s.rouseLocked()
	return nil
}

// reconsider has the session asked whether it may go on.
func (s *listeners) reconsider() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rouseLocked()
}

func (s *listeners) rouseLocked() {
	if s.rouse != nil {
		s.rouse()
	}
}

// remove forgets l. Who has the session unlistens.
func (s *listeners) remove(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, l)
	s.rouseLocked()
}

// take returns what l is to be told next, or why it is over.
func (s *listeners) take(l *listener) (n Notification, some bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.err != nil {
		return n, false, l.err
	}
	n, some = l.pop()
	return n, some, nil
}

// done reports whether nobody listens; then the goroutine has to end.
func (s *listeners) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) > 0 && !s.closed {
		return false
	}
	s.stop()
	s.running = nil
	return true
}

// fail ends all listeners with err.
func (s *listeners) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.all {
		l.err = err
		delete(s.all, l)
		l.poke()
	}
}

// shutdown ends all listeners with err, and waits until their session was given back.
func (s *listeners) shutdown(err error) {
	s.fail(err)
	s.mu.Lock()
	s.closed = true
	running := s.running
	if running != nil {
		s.stop()
	}
	s.mu.Unlock()
	if running != nil {
		<-running
	}
}

// lost notes that the session was lost.
func (s *listeners) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.all {
		if l.state == listenerLive {
			l.state = listenerLost
		}
	}
}

// deliver gives n to who listens to its channel.
func (s *listeners) deliver(n Notification) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.all {
		if l.state == listenerLive && slices.Contains(l.channels, n.Channel) {
			l.put(n)
		}
	}
}

// listened tells those whose channels are all in have.
func (s *listeners) listened(have map[string]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.all {
		if l.state != listenerLive && !slices.ContainsFunc(l.channels, func(c string) bool { _, ok := have[c]; return !ok }) {
			l.became()
		}
	}
}

// next returns what the session is to listen to, and a context for its wait
// that ends when that changes.
func (s *listeners) next(ctx context.Context) (want map[string]struct{}, wait context.Context, cancel context.CancelFunc) {
	wait, cancel = context.WithTimeout(ctx, listenCheck)
	want = make(map[string]struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.all {
		for _, c := range l.channels {
			want[c] = struct{}{}
		}
	}
	s.rouse = cancel
	return want, wait, cancel
}

// statements turn a session that listens to have into one that listens to want.
func statements(have, want map[string]struct{}) (sql string) {
	for _, c := range slices.Sorted(maps.Keys(want)) {
		if _, ok := have[c]; !ok {
			sql += "listen " + pgx.Identifier{c}.Sanitize() + ";"
		}
	}
	for _, c := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[c]; !ok {
			sql += "unlisten " + pgx.Identifier{c}.Sanitize() + ";"
		}
	}
	return sql
}
