package pgdriver

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// TestEndCause has the server end a session with each of its words, and without any.
func TestEndCause(t *testing.T) {
	for code, want := range map[string]connstate.EndCause{
		"57P01": connstate.EndTerminated, "57P02": connstate.EndCrashed, "57P04": connstate.EndDatabaseDropped, "57P05": connstate.EndIdleSession,
		"25P03": connstate.EndIdleTransaction, "25P04": connstate.EndTransaction, "40001": connstate.EndConflict, "08P01": connstate.EndOtherError,
		"": connstate.EndSilent,
	} {
		t.Run(code, func(t *testing.T) {
			inConn(t, func(t *testing.T, c *Conn, p *place, s *server) {
				var last *pgproto3.ErrorResponse
				if code != "" {
					last = &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "the end"}
				}
				s.kill(last)
				if c.Awake(t.Context()) {
					t.Fatal("the session lives")
				}
				c.RetireFor(connstate.CloseBroken)
				if got := connstate.EndCause(p.endedBy.Load()); got != want {
					t.Errorf("%v, want %v", got, want)
				}
			})
		})
	}
}

// TestEndCauseOfOurs is about connections that this side gives up.
func TestEndCauseOfOurs(t *testing.T) {
	inConn(t, func(t *testing.T, c *Conn, p *place, _ *server) {
		_ = c.pgxConn.Close()
		c.RetireFor(connstate.CloseSurplus)
		if p.endedBy.Load() != 0 {
			t.Error("a connection that is closed on purpose was ended by nobody")
		}
	})
	inConn(t, func(t *testing.T, c *Conn, p *place, _ *server) {
		c.Interrupt()
		if c.Awake(t.Context()) {
			t.Fatal("the session lives")
		}
		c.RetireFor(connstate.CloseBroken)
		if got := connstate.EndCause(p.endedBy.Load()); got != connstate.EndGivenUp {
			t.Errorf("%v", got)
		}
	})
}

func TestEndCauseOfTheSocket(t *testing.T) {
	broken := func(err error) error {
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
	}
	for _, tc := range []struct {
		err  error
		want connstate.EndCause
	}{
		{io.EOF, connstate.EndSilent}, {broken(syscall.ECONNRESET), connstate.EndSilent}, {broken(syscall.EPIPE), connstate.EndSilent},
		{broken(syscall.ETIMEDOUT), connstate.EndNetwork}, {broken(syscall.EHOSTUNREACH), connstate.EndNetwork},
	} {
		s := NewSocket(func(*Socket) Hold { return &place{} })
		s.noteBroken(tc.err)
		if got := connstate.EndCause(s.broke.Load()); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.err, got, tc.want)
		}
	}
}
