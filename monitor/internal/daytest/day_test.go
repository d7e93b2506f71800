package daytest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor"
	"github.com/dbpool-go/dbpool/pool"
)

// TestDayOfLogs runs a service for a day, in virtual time, with troubles at hours
// that are known, and reads the log as somebody on call does: each trouble is
// told soon, and that it is over, and between them the log is silent.
func TestDayOfLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDay(t)
		d.live()
		d.read()
	})
}

// day is a service with its database, and its log.
type day struct {
	t     *testing.T
	began time.Time
	db    *dayServer
	pool  *pool.Pool
	log   *dayLog
	work  sync.WaitGroup
}

// trouble is something that happens at a known time of the day.
type trouble struct {
	at, lasts time.Duration
	happens   func(d *day, ctx context.Context)
	told      string // what tells it, within a minute
	over      string // what is told of it last; empty when nothing takes it back
	lines     int    // warnings and errors at most, of it and what follows from it
}

const (
	hour = time.Hour
	// aftermath is for how long after a trouble its lines may come.
	aftermath = 15 * time.Minute
)

var troublesOfTheDay = map[string]trouble{
	"the server restarts":    {3*hour + 30*time.Minute, 40 * time.Second, (*day).restart, "no new connections|connections were ended|database unhealthy", "database usable again|new connections again", 8},
	"the server has no room": {5 * hour, time.Hour, (*day).noRoom, "no new connections", "new connections again", 20},
	"callers come in crowds": {9 * hour, 90 * time.Minute, (*day).crowds, "pool usage high", "pool usage normal", 8},
	"a table is locked":      {11 * hour, 3 * time.Minute, (*day).lock, "run statements that take long", "callers get connections again", 8},
	"a task fails":           {14 * hour, 2 * hour, (*day).failingTask, "background task failed", "", 121},
	"a handler forgets":      {17 * hour, 2 * hour, (*day).leak, "", "connection came back", 8},
	"sessions are killed":    {20 * hour, 30 * time.Minute, (*day).kill, "connections were ended", "", 10},
	"clients hang up":        {22 * hour, 10 * time.Minute, (*day).hangUps, "", "", 0},
}

func newDay(t *testing.T) *day {
	d := &day{t: t, began: time.Now(), db: &dayServer{room: 100, sessions: map[uint32]*daySession{}}, log: &dayLog{}}
	logger := slog.New(d.log)
	cfg := config.Default()
	cfg.Name, cfg.Fleet = "orders", config.FleetOff
	cfg.DatabaseURL = "postgres://orders:hush-hush@127.0.0.1:5432/orders?sslmode=disable"
	p, err := pool.Open(cfg, pool.WithDialFunc(d.db.dial), pool.WithLogger(logger))
	if err != nil {
		t.Fatal(err)
	}
	d.pool = p
	m := monitor.New(p, monitor.WithLogger(logger))
	ctx, stop := context.WithCancel(t.Context())
	d.work.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		d.work.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// live has the usual work done, and the troubles come.
func (d *day) live() {
	var all sync.WaitGroup
	for _, tr := range troublesOfTheDay {
		all.Go(func() {
			time.Sleep(tr.at)
			ctx, cancel := context.WithTimeout(context.Background(), tr.lasts)
			defer cancel()
			tr.happens(d, ctx)
		})
	}
	all.Go(d.usual)
	all.Wait()
	synctest.Wait()
}

// usual is a request every few seconds, fewer at night, and a task every five minutes.
func (d *day) usual() {
	for n := 0; time.Since(d.began) < 24*hour; n++ {
		go func() { _ = d.request(context.Background(), "work 30ms") }()
		if n%100 == 0 {
			d.pool.Background(context.Background(), "outbox", func(ctx context.Context, s *pool.Session) error {
				_, err := s.ExecContext(ctx, "work 2s")
				return err
			})
		}
		time.Sleep(3 * time.Second)
	}
}

// request is a handler's work in one session.
func (d *day) request(ctx context.Context, statement string) error {
	return d.pool.WithSession(ctx, func(ctx context.Context, s *pool.Session) error {
		_, err := s.ExecContext(ctx, statement)
		return err
	})
}

// every calls f each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *day) restart(ctx context.Context) {
	d.db.set(func(s *dayServer) { s.down = true })
	d.db.end()
	<-ctx.Done()
	d.db.set(func(s *dayServer) { s.down = false })
}

// noRoom has others take the server's sessions: every few seconds there is room for
// another one, or there is not.
func (d *day) noRoom(ctx context.Context) {
	more := true
	every(ctx, 7*time.Second, func() {
		d.db.set(func(s *dayServer) { s.room = map[bool]int{true: 8, false: 2}[more] })
		d.db.end()
		more = !more
		for range 6 {
			go func() { _ = d.request(context.Background(), "work 1s") }()
		}
	})
	d.db.set(func(s *dayServer) { s.room = 100 })
}

// crowds has 30 callers come at once every half minute: 10 connections need 6 s for them.
func (d *day) crowds(ctx context.Context) {
	every(ctx, 30*time.Second, func() {
		for range 30 {
			go func() { _ = d.request(context.Background(), "work 2s") }()
		}
	})
}

func (d *day) lock(ctx context.Context) {
	released := make(chan struct{})
	d.db.set(func(s *dayServer) { s.locked = released })
	every(ctx, time.Second, func() { go func() { _ = d.request(context.Background(), "locked") }() })
	d.db.set(func(s *dayServer) { s.locked = nil })
	close(released)
}

func (d *day) failingTask(ctx context.Context) {
	every(ctx, time.Minute, func() {
		d.pool.Background(ctx, "mail", func(context.Context, *pool.Session) error { return errors.New("the mail server says no") })
	})
}

// leak has a handler forget its rows, for 14 minutes each.
func (d *day) leak(ctx context.Context) {
	every(ctx, 20*time.Minute, func() {
		rows, err := d.pool.QueryContext(context.Background(), "work 1ms")
		if err != nil {
			d.t.Error(err)
			return
		}
		time.AfterFunc(14*time.Minute, func() { _ = rows.Close() })
	})
}

func (d *day) kill(ctx context.Context) {
	every(ctx, 5*time.Minute, func() { d.db.end() })
}

func (d *day) hangUps(ctx context.Context) {
	every(ctx, time.Second, func() {
		client, hangUp := context.WithTimeout(context.Background(), 10*time.Millisecond)
		go func() {
			defer hangUp()
			_ = d.request(client, "work 1s")
		}()
	})
}

// read is what somebody on call does with the log.
func (d *day) read() {
	counts := map[string]int{}
	for _, l := range d.log.all() {
		counts[l.level.String()+" "+l.message]++
	}
	for _, message := range slices.Sorted(maps.Keys(counts)) {
		d.t.Logf("%5d %s", counts[message], message)
	}
	if n := counts["INFO pool status"]; n != 24*60/5 {
		d.t.Errorf("%d status lines", n)
	}
	for name, tr := range troublesOfTheDay {
		d.readOf(name, tr)
	}
	d.readBetween()
}

func (d *day) readOf(name string, tr trouble) {
	begin, end := d.began.Add(tr.at), d.began.Add(tr.at+tr.lasts)
	told, over := regexp.MustCompile("^$|"+tr.told), regexp.MustCompile("^$|"+tr.over)
	soon, last, loud := tr.told == "", "", 0
	for _, l := range d.log.all() {
		if l.at.Before(begin) || l.at.After(end.Add(aftermath)) || l.level < slog.LevelInfo || l.message == "pool status" {
			continue
		}
		d.t.Logf("%s: %s", name, l)
		if l.level >= slog.LevelWarn {
			loud++
		}
		if told.MatchString(l.message) || over.MatchString(l.message) {
			last = l.message
			soon = soon || l.at.Before(begin.Add(time.Minute)) && told.MatchString(l.message)
		}
	}
	if loud > tr.lines {
		d.t.Errorf("%s: %d warnings and errors, want %d at most", name, loud, tr.lines)
	}
	if !soon {
		d.t.Errorf("%s: nobody said %q within a minute", name, tr.told)
	}
	if tr.over != "" && !over.MatchString(last) {
		d.t.Errorf("%s: the last of it is %q, want %q", name, last, tr.over)
	}
}

// readBetween wants silence where nothing happens.
func (d *day) readBetween() {
	for _, l := range d.log.all() {
		quiet := l.level >= slog.LevelInfo && l.message != "pool status"
		for _, tr := range troublesOfTheDay {
			at := l.at.Sub(d.began)
			quiet = quiet && (at < tr.at || at > tr.at+tr.lasts+aftermath)
		}
		if quiet {
			d.t.Errorf("for nothing: %s", l)
		}
	}
}

// dayLog keeps what is logged, with its virtual time.
type dayLog struct {
	mu    sync.Mutex // guards lines
	lines []dayLine
}

type dayLine struct {
	at      time.Time
	level   slog.Level
	message string
	attrs   string
}

func (l dayLine) String() string {
	return fmt.Sprintf("%s %s %s%s", l.at.Format(time.TimeOnly), l.level, l.message, l.attrs)
}

func (l *dayLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *dayLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *dayLog) WithGroup(string) slog.Handler            { return l }
func (l *dayLog) Handle(_ context.Context, r slog.Record) error {
	var attrs strings.Builder
	r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(&attrs, " %s", a); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, dayLine{r.Time, r.Level, r.Message, attrs.String()})
	return nil
}

func (l *dayLog) all() []dayLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
