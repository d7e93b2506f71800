package pgdriver

import (
	"context"
	"database/sql/driver"
	"net"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// place is a Slot, and the Hold of its socket.
type place struct {
	state   atomic.Int32
	retired atomic.Int32
	ended   atomic.Int32
	endedBy atomic.Int32
	closed  int
}

func (p *place) State() *atomic.Int32 { return &p.state }
func (p *place) RetireFor(why connstate.CloseReason) bool {
	return p.retired.CompareAndSwap(int32(connstate.CloseUnknown), int32(why))
}
func (p *place) RetiredFor() connstate.CloseReason { return connstate.CloseReason(p.retired.Load()) }
func (p *place) NoteEnd(by connstate.EndCause)     { p.endedBy.CompareAndSwap(0, int32(by)) }
func (p *place) Ended()                            { p.ended.Add(1) }
func (p *place) Established() bool                 { return true }
func (p *place) Discard()                          { p.closed++ }

// inConn runs a test with a session of its own, in a server in memory.
func inConn(t *testing.T, test func(t *testing.T, c *Conn, p *place, s *server)) {
	synctest.Test(t, func(t *testing.T) {
		p, shared := &place{}, &Shared{}
		var c *Conn
		var socket *Socket
		var sockets int32
		srv, cc := newServer(t)
		dial := cc.DialFunc
		cc.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			sockets++ // one more for each cancel request
			socket = NewSocket(func(*Socket) Hold { return p })
			nc, err := dial(ctx, network, address)
			socket.Conn = nc
			return socket, err
		}
		c = New(p, shared, Settings{}, cc)
		dc, err := stdlib.GetConnector(*cc).Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Connected(dc.(*stdlib.Conn), socket)
		c.SetOwner(p)
		if err := c.Ready(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		test(t, c, p, srv)
		_ = c.Close()
		synctest.Wait()
		if n := p.ended.Load(); n != sockets {
			t.Errorf("the socket's part of the slot was given back %d times, of %d", n, sockets)
		}
	})
}

// TestReclaimedIsSaidFirst has a look at the connection due before the statement
// that finds it taken away: what the look would find is not the caller's concern.
func TestReclaimedIsSaidFirst(t *testing.T) {
	for name, use := range map[string]func(c *Conn){
		"just handed on":  func(c *Conn) { c.trusted = true },
		"a late cancel":   func(c *Conn) { c.cancel.sent.Store(true) },
		"a lost cancel":   func(c *Conn) { c.cancel.uncertain.Store(true) },
		"nothing unusual": func(*Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			inConn(t, func(t *testing.T, c *Conn, p *place, _ *server) {
				use(c)
				p.state.Store(connstate.ActivityReclaimed)
				if _, err := c.ExecContext(t.Context(), "update", nil); err != connstate.ErrReclaimed {
					t.Error(err)
				}
			})
		})
	}
}

// TestFaultSaysWhyAConnectionCannotGoOn has each fault by itself.
func TestFaultSaysWhyAConnectionCannotGoOn(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(c *Conn, s *server)
		want connstate.CloseReason
	}{
		"none":          {func(*Conn, *server) {}, connstate.CloseUnknown},
		"noted before":  {func(c *Conn, _ *server) { c.RetireFor(connstate.CloseSurplus); _ = c.pgxConn.Close() }, connstate.CloseSurplus},
		"a lost cancel": {func(c *Conn, _ *server) { c.cancel.uncertain.Store(true) }, connstate.CloseCanceled},
		"closed":        {func(c *Conn, _ *server) { _ = c.pgxConn.Close() }, connstate.CloseBroken},
		"a panicking value": {func(c *Conn, _ *server) {
			_, _ = c.QueryContext(context.Background(), "q", []driver.NamedValue{{Ordinal: 1, Value: explosive{}}})
		}, connstate.CloseUnclean},
	} {
		t.Run(name, func(t *testing.T) {
			inConn(t, func(t *testing.T, c *Conn, _ *place, s *server) {
				tt.make(c, s)
				if got := c.Fault(); got != tt.want {
					t.Errorf("%v, want %v", got, tt.want)
				}
			})
		})
	}
}

// explosive is an argument that cannot be had.
type explosive struct{}

func (explosive) Value() (driver.Value, error) { panic("no value") }

// TestPanicIsTheOwnersToEnd has a call panic: its owner closes the connection, and
// the caller gets the panic as an error that says where it was.
func TestPanicIsTheOwnersToEnd(t *testing.T) {
	inConn(t, func(t *testing.T, c *Conn, p *place, _ *server) {
		_, err := c.QueryContext(t.Context(), "q", []driver.NamedValue{{Ordinal: 1, Value: explosive{}}})
		panicked, ok := err.(*PanicError)
		if !ok || panicked.Value != "no value" || p.closed != 1 {
			t.Errorf("%v, closed %d times", err, p.closed)
		}
	})
}

// TestBrokenOneMakesOthersSuspect has one connection found broken while another
// is at rest: that one is looked at before it is handed on again.
func TestBrokenOneMakesOthersSuspect(t *testing.T) {
	inConn(t, func(t *testing.T, c *Conn, _ *place, _ *server) {
		other := &Conn{slot: &place{}, shared: c.shared}
		c.GivenBack(c.dialedAt)
		if !c.IsFresh() {
			t.Error("not fresh, although it was given back this moment")
		}
		other.RetireFor(connstate.CloseBroken)
		if c.IsFresh() {
			t.Error("fresh, although another one broke meanwhile")
		}
	})
}

// optional are the interfaces that database/sql looks for, by what it looks at.
var optional = map[string][]reflect.Type{
	"stmt": {
		reflect.TypeFor[driver.StmtExecContext](), reflect.TypeFor[driver.StmtQueryContext](),
		reflect.TypeFor[driver.NamedValueChecker](), reflect.TypeFor[driver.ColumnConverter](), //nolint:staticcheck // the old ones too
	},
	"rows": {
		reflect.TypeFor[driver.RowsNextResultSet](), reflect.TypeFor[driver.RowsColumnTypeScanType](),
		reflect.TypeFor[driver.RowsColumnTypeDatabaseTypeName](), reflect.TypeFor[driver.RowsColumnTypeLength](),
		reflect.TypeFor[driver.RowsColumnTypeNullable](), reflect.TypeFor[driver.RowsColumnTypePrecisionScale](),
	},
	"conn": {reflect.TypeFor[interface{ Conn() *pgx.Conn }](), reflect.TypeFor[driver.NamedValueChecker]()},
}

// TestOptionalInterfaces wants each of ours to claim what pgx's has, no more and no less.
func TestOptionalInterfaces(t *testing.T) {
	for _, c := range []struct {
		kind        string
		ours, inner reflect.Type
	}{
		{"stmt", reflect.TypeFor[*stmt](), reflect.TypeFor[*stdlib.Stmt]()},
		{"rows", reflect.TypeFor[*rows](), reflect.TypeFor[*stdlib.Rows]()},
		{"conn", reflect.TypeFor[*Conn](), reflect.TypeFor[*stdlib.Conn]()},
	} {
		for _, i := range optional[c.kind] {
			if got, want := c.ours.Implements(i), c.inner.Implements(i); got != want {
				t.Errorf("%v claims %v: %v, want %v", c.ours, i, got, want)
			}
		}
	}
}
