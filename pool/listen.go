package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"
)

// Notification is what a function given to Listen is told.
type Notification struct {
	Kind    NotificationKind
	Channel string // of a Notified
	Payload string // of a Notified; may be empty
	PID     uint32 // of a Notified: the server process of the session that sent it
	Dropped int    // of a ListeningAgain: how many were dropped because the function was too slow; 0 when the connection was lost
}

// NotificationKind says what a Notification tells of.
type NotificationKind uint8

// The kinds.
const (
	// Notified: a NOTIFY of somebody's. The zero value.
	Notified NotificationKind = iota
	// Listening: from now on nothing is missed. It comes once, first. What the
	// notifications are about is best read now, and not before Listen is called.
	Listening
	// ListeningAgain: there was a gap, in which any number of notifications may have been
	// lost; from now on nothing is missed. What they are about is to be read anew.
	ListeningAgain
)

// String returns "notified", "listening" or "listening again".
func (k NotificationKind) String() string {
	switch k {
	case Listening:
		return "listening"
	case ListeningAgain:
		return "listening again"
	default:
		return "notified"
	}
}

// listenQueue is how many notifications may wait for a listener's function.
const listenQueue = 1000

// maxChannelBytes is how long the name of a channel may be: the server cuts longer ones.
const maxChannelBytes = 63

var (
	errListenPooled = errors.New("pool: Listen does not work behind a connection pooler, which gives each transaction another session: open a pool with a connection string that leads to the server itself for it")
	errListenOne    = errors.New("pool: Listen keeps one connection for itself, and the limit is 1: raise DB_POOL_SIZE or DB_MAX_OVERFLOW")
	errListenDeaf   = errors.New("pool: Listen hears nothing, because a function given to WithConnConfig sets OnNotification: remove that")

	errListenRecycled = errors.New("pool: the session that listens is replaced") // told to nobody
)

// Listen calls handle with each notification of channels, one after the other
// and in the caller's goroutine, until ctx ends or the pool is closed. It returns
// ctx's error or ErrClosed. A channel's name is taken literally, as by a quoted
// identifier: between 1 and 63 bytes.
//
// All calls of Listen share one connection. It counts in the limit and is there
// as long as anybody listens; it is listed in Holders as "listener" and is no
// leak. It queues as background work does, or as a request where background work
// may have no more than one connection. A pool whose limit is 1 has none to spare,
// and a pooler no session to listen in: Listen refuses both.
//
// The first call of handle is a Listening. When the connection is lost the pool
// opens another, for as long as it takes, and then tells a ListeningAgain:
// what was sent meanwhile is lost. So are notifications that come while 1,000 wait
// for handle; the connection and other listeners do not wait for a slow one. A panic
// of handle is logged with its stack, and the next notification follows. When
// ctx ends while handle runs, Listen returns as soon as handle does.
func (p *Pool) Listen(ctx context.Context, channels []string, handle func(Notification)) error {
	if err := p.mayListen(channels); err != nil {
		return err
	}
	l := &listener{channels: slices.Clone(channels), wake: make(chan struct{}, 1)}
	if err := p.listen(l); err != nil {
		return err
	}
	defer p.listeners.remove(l)
	for {
		n, some, err := p.listeners.take(l)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case some:
			p.tell(handle, n)
			continue
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
		}
	}
}

// mayListen says why nobody can listen, if it is so.
func (p *Pool) mayListen(channels []string) error {
	switch {
	case p.foreign != nil:
		return errNoPgx
	case len(channels) == 0:
		return errors.New("pool: Listen without a channel")
	}
	if err := p.canHear(); err != nil {
		return err
	}
	if most, _ := p.gate.Settings(); most < 2 {
		return errListenOne
	}
	for _, name := range channels {
		if n := len(name); n == 0 || n > maxChannelBytes || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			return fmt.Errorf("pool: Listen: the channel %q has no name that the server knows: it takes 1 to %d bytes of UTF-8, and this has %d", name, maxChannelBytes, n)
		}
	}
	return nil
}

// tell calls handle. Its panic costs this notification.
func (p *Pool) tell(handle func(Notification), n Notification) {
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("a listener's function panicked", "pool", p.cfg.Name, "channel", n.Channel, slog.Any("panic", v), "stack", string(debug.Stack()))
		}
	}()
	handle(n)
}

// listener is one call of Listen. listeners.mu guards what follows the channels.
type listener struct {
	wake     chan struct{} // receives when there is something to take
	channels []string

	state   listenerState
	queue   []Notification
	gap     bool // something was dropped: nothing more is queued until it is told
	dropped int
	err     error // why it is over
}

type listenerState uint8

const (
	listenerNew  listenerState = iota
	listenerLive               // all its channels are listened to
	listenerLost               // they were
)

// put queues n for the function, or notes that it was dropped.
func (l *listener) put(n Notification) {
	switch {
	case !l.gap && len(l.queue) < listenQueue:
		l.queue = append(l.queue, n)
	case n.Kind == Notified:
		l.dropped++
		fallthrough
	default:
		l.gap = true
	}
	l.poke()
}

// pop returns what the function is to be told next.
func (l *listener) pop() (n Notification, some bool) {
	switch {
	case len(l.queue) > 0:
		n = l.queue[0]
		l.queue = l.queue[1:]
	case l.gap && l.state == listenerLive:
		n = Notification{Kind: ListeningAgain, Dropped: l.dropped}
		l.gap, l.dropped = false, 0
	default:
		return n, false
	}
	return n, true
}

func (l *listener) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// became notes that all its channels are listened to, and tells it.
func (l *listener) became() {
	kind := Listening
	if l.state == listenerLost {
		kind = ListeningAgain
	}
	l.state = listenerLive
	l.put(Notification{Kind: kind})
}
