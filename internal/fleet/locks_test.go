package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// bench is sessions of one service on a server, real or simulated, which must
// not differ in anything that the protocol relies on.
type bench struct {
	*testing.T
	open func() conn
}

func onBothServers(t *testing.T, test func(b bench)) {
	t.Run("simulated", func(t *testing.T) {
		server := newSimServer(50, rand.New(rand.NewPCG(1, 1)))
		net := newLink(server)
		test(bench{t, func() conn { return must(t)(net.Dial(t.Context())) }})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		srv := pgtest.Shared(t)
		test(bench{t, func() conn { return must(t)(dialPostgres(t.Context(), srv.URL, "orders")) }})
	})
}

func must(t *testing.T) func(conn, error) conn {
	return func(c conn, err error) conn {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
}

func (b bench) do(c conn, r Request) Response {
	b.Helper()
	resp, err := c.Do(context.Background(), r)
	if err != nil {
		b.Fatal(err)
	}
	return resp
}

// tokens is who holds what, by process id.
func (b bench) tokens(c conn) map[uint32][]Token {
	b.Helper()
	held := lockViewOf(b.do(c, Request{Look: true}).Seen, NewKeys(DefaultKeySpace, "orders")).tokens
	for _, tokens := range held {
		slices.Sort(tokens)
	}
	return held
}

func (b bench) wantTokens(c conn, want map[uint32][]Token) {
	b.Helper()
	got := b.tokens(c)
	same := len(got) == len(want)
	for pid, tokens := range want {
		same = same && slices.Equal(got[pid], tokens)
	}
	if !same {
		b.Errorf("held: %v; want %v", got, want)
	}
}

func TestClaimTakesOnlyWhatNobodyHolds(t *testing.T) {
	onBothServers(t, func(b bench) {
		a, c := b.open(), b.open()
		if got := b.do(a, Request{Claim: 2, UpTo: 3}).Claimed; !slices.Equal(got, []Token{1, 2}) {
			b.Errorf("first claim: %v", got)
		}
		if got := b.do(c, Request{Claim: 2, UpTo: 3}).Claimed; !slices.Equal(got, []Token{3}) {
			b.Errorf("second claim: %v", got)
		}
		if got := b.do(a, Request{Claim: 1, UpTo: 3}).Claimed; got != nil {
			b.Errorf("own tokens were claimed again: %v", got)
		}
		b.wantTokens(a, map[uint32][]Token{a.PID(): {1, 2}, c.PID(): {3}})
		b.do(a, Request{Drop: []Token{1}})
		if got := b.do(c, Request{Claim: 1, UpTo: 3}).Claimed; !slices.Equal(got, []Token{1}) {
			b.Errorf("after a drop: %v", got)
		}
	})
}

func TestClaimTriesNoMoreThanItTakes(t *testing.T) {
	onBothServers(t, func(b bench) {
		a, c := b.open(), b.open()
		b.do(a, Request{Claim: 1, UpTo: 1000})
		if got := b.do(c, Request{Claim: 998, UpTo: 999}).Claimed; len(got) != 998 {
			b.Errorf("%d of 998 tokens were to be had", len(got))
		}
	})
}

func TestBindSharesAReservedToken(t *testing.T) {
	onBothServers(t, func(b bench) {
		reserver, fresh := b.open(), b.open()
		token := b.do(reserver, Request{Claim: 1, UpTo: 5}).Claimed[0]
		if !b.do(fresh, Request{Bind: token, Known: []uint32{reserver.PID()}}).Bound {
			b.Fatal("not bound")
		}
		b.do(reserver, Request{Drop: []Token{token}})
		b.wantTokens(reserver, map[uint32][]Token{fresh.PID(): {token}})
	})
}

func TestBindFailsWhenTheReserverIsGone(t *testing.T) {
	onBothServers(t, func(b bench) {
		reserver, fresh, stranger := b.open(), b.open(), b.open()
		token := b.do(reserver, Request{Claim: 1, UpTo: 5}).Claimed[0]
		pid := reserver.PID()
		reserver.Close()
		if b.do(fresh, Request{Bind: token, Known: []uint32{pid}}).Bound {
			b.Error("bound to a token that nobody kept")
		}
		b.do(stranger, Request{Claim: 1, UpTo: 5})
		if b.do(fresh, Request{Bind: token, Known: []uint32{pid}}).Bound {
			b.Error("bound to another's token")
		}
		b.wantTokens(fresh, map[uint32][]Token{stranger.PID(): {token}})
	})
}

func TestBindFailsBesideAStranger(t *testing.T) {
	onBothServers(t, func(b bench) {
		a, ghost, fresh := b.open(), b.open(), b.open()
		token := b.do(a, Request{Claim: 1, UpTo: 5}).Claimed[0]
		b.do(ghost, Request{Bind: token, Known: []uint32{a.PID()}})
		if b.do(fresh, Request{Bind: token, Known: []uint32{a.PID()}}).Bound {
			b.Error("bound although a session that is not known holds the token too")
		}
	})
}

func TestLookTellsMembersAndDemands(t *testing.T) {
	onBothServers(t, func(b bench) {
		a1, a2, c := b.open(), b.open(), b.open()
		first, second := demandValue(1, 4), demandValue(2, 7)
		b.do(a1, Request{Join: 11, Publish: []uint32{first}, Claim: 1, UpTo: 9})
		b.do(a2, Request{Join: 11, Publish: []uint32{second}, Claim: 2, UpTo: 9})
		b.do(c, Request{Join: 22, Claim: 1, UpTo: 4})
		b.do(c, Request{Join: 22}) // once is enough
		seen := b.do(c, Request{Look: true}).Seen
		view := lockViewOf(seen, NewKeys(DefaultKeySpace, "orders")).view(Plan{Tokens: 3})
		want := []Member{{ID: 11, Held: 3, Demand: 7, Said: second}, {ID: 22, Over: 1}}
		if view.Free != 0 || !slices.Equal(view.Members, want) {
			b.Errorf("%+v", view)
		}
		b.do(a2, Request{Retract: []uint32{second}})
		if m := lockViewOf(b.do(c, Request{Look: true}).Seen, NewKeys(DefaultKeySpace, "orders")).view(Plan{Tokens: 9}).Members[0]; m.Demand != 4 {
			b.Errorf("after the last word was taken back: %+v", m)
		}
		if seen.PID != c.PID() || seen.Server == "" || seen.Sessions.Server < 3 {
			b.Errorf("%+v", seen)
		}
	})
}

// pgSession is a session on a real server, closed as the pool closes it: its
// end is when the server closes the socket.
type pgSession struct {
	Locks
	pg *pgconn.PgConn
}

func dialPostgres(ctx context.Context, url, service string) (*pgSession, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = service
	pg, err := pgconn.ConnectConfig(ctx, &cfg.Config)
	if err != nil {
		return nil, err
	}
	return &pgSession{Postgres(pg, NewKeys(DefaultKeySpace, service)), pg}, nil
}

func (s *pgSession) Use(ctx context.Context, d time.Duration) error {
	_, err := s.pg.Exec(ctx, fmt.Sprintf("select pg_sleep(%f)", d.Seconds())).ReadAll()
	return err
}

// Close says goodbye and waits until the server hangs up.
func (s *pgSession) Close() {
	hijacked, err := s.pg.Hijack()
	if err != nil {
		return // closed already, or broken in the middle of a statement
	}
	end(hijacked.Conn)
}

func end(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write([]byte{'X', 0, 0, 0, 4})
	for buf := make([]byte, 512); ; {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func TestClaimKeepsToWhatMayBeHeld(t *testing.T) {
	onBothServers(t, func(b bench) {
		a, c, newcomer := b.open(), b.open(), b.open()
		b.do(newcomer, Request{Claim: 1, UpTo: 9})
		if got := b.do(a, Request{Claim: 5, UpTo: 9, Most: 4}); !slices.Equal(got.Claimed, []Token{2, 3, 4}) || got.Busy {
			b.Errorf("%+v", got)
		}
		b.do(a, Request{Drop: []Token{3}})
		if got := b.do(c, Request{Claim: 2, UpTo: 9, Most: 4}); !slices.Equal(got.Claimed, []Token{3}) || got.Busy {
			b.Errorf("after a drop: %+v", got)
		}
		if got := b.do(c, Request{Claim: 1, UpTo: 9, Most: 4}); got.Claimed != nil || got.Busy {
			b.Errorf("although four are held: %+v", got)
		}
	})
}

// Sessions that all see one token free claim it at the same moment, again and again.
func TestClaimsAtOneMomentKeepToWhatMayBeHeld(t *testing.T) {
	srv := pgtest.Shared(t)
	const claimers = 8
	sessions := make([]conn, claimers)
	for i := range sessions {
		sessions[i] = must(t)(dialPostgres(t.Context(), srv.URL, "orders"))
	}
	for round := range 30 {
		var wg sync.WaitGroup
		got := make([]Response, claimers)
		for i, s := range sessions {
			wg.Go(func() { got[i], _ = s.Do(t.Context(), Request{Claim: 1, UpTo: 9, Most: 1}) })
		}
		wg.Wait()
		claimed := 0
		for i, s := range sessions {
			if claimed += len(got[i].Claimed); len(got[i].Claimed) > 0 {
				do(t, s, Request{Drop: got[i].Claimed})
			}
		}
		if claimed > 1 {
			t.Fatalf("round %d: %d tokens were claimed of one", round, claimed)
		}
	}
}
