package dial

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// A host of the wrong kind is told of together with the others: the trouble is
// with them. A server that refused comes first.
func TestDialErrorTellsOfEachHost(t *testing.T) {
	down := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	standby := fmt.Errorf("b:5432: ValidateConnect failed: %w", pgconn.ErrReadOnlyConnection)
	d := Explain(fmt.Errorf("failed to connect to `user=x`: %w", errors.Join(fmt.Errorf("a:5432: %w", down), standby)))
	if want := "a:5432: dial: connection refused; b:5432: ValidateConnect failed: read only connection"; d.Message != want || !errors.Is(d.Cause, pgconn.ErrReadOnlyConnection) {
		t.Errorf("%q, %v", d.Message, d.Cause)
	}
	full := Explain(errors.Join(standby, refusal53300("sorry, too many clients already")))
	if !full.Full || !strings.HasPrefix(full.Message, "sorry, too many") {
		t.Errorf("%+v", full)
	}
}

func refusal53300(message string) error {
	return &pgconn.PgError{Code: pgdriver.StateTooManyConnections, Message: message}
}

func TestClassify(t *testing.T) {
	pg := func(code, message string) error { return &pgconn.PgError{Code: code, Message: message} }
	for _, c := range []struct {
		err             error
		reason          string
		full, permanent bool
	}{
		{refusal53300("sorry, too many clients already"), "server full", true, false},
		{refusal53300("remaining connection slots are reserved for non-replication superuser connections"), "reserved slots", true, false},
		{refusal53300("remaining connection slots are reserved for roles with the SUPERUSER attribute"), "reserved slots", true, false},
		{refusal53300(`remaining connection slots are reserved for roles with privileges of the "pg_use_reserved_connections" role`), "reserved slots", true, false},
		{refusal53300(`too many connections for role "x"`), "role limit", true, false},
		{refusal53300(`too many connections for database "x"`), "database limit", true, false},
		{&pgconn.PgError{Code: pgdriver.StateTooManyConnections, Routine: "CheckMyDatabase", Message: "zu viele Verbindungen für Datenbank »x«"}, "database limit", true, false},
		{pg("57P03", "the database system is starting up"), "starting up", false, false},
		{pg("57P03", "the database system is in recovery mode"), "in recovery", false, false},
		{pg("57P03", "the database system is shutting down"), "shutting down", false, false},
		{pg("57P03", "the database system is not yet accepting connections"), "starting up", false, false},
		{pg("57P03", "the database system is not accepting connections"), "not accepting connections", false, false},
		{pgconn.ErrReadOnlyConnection, "no primary", false, false},
		{pgconn.ErrStandbyConnection, "no primary", false, false},
		{pgconn.ErrReadWriteConnection, "no standby", false, false},
		{pgconn.ErrPrimaryConnection, "no standby", false, false},
		{pg("57P01", "terminating connection due to administrator command"), "shutting down", false, false},
		{pg("28P01", `password authentication failed for user "x"`), "authentication", false, true},
		{pg("28000", `role "x" does not exist`), "authentication", false, true},
		{pg("3D000", `database "x" does not exist`), "no such database", false, true},
		{pg("42501", `permission denied for database "x"`), "no privilege to connect", false, true},
		{pg("08P01", "no more connections allowed (max_client_conn)"), "pooler full", true, false},
		{pg("08P01", "unsupported startup parameter: x"), "refused by the pooler", false, true},
		{pg("08P01", "no such database: x"), "no such database", false, true},
		{pg("08P01", "no such user: x"), "authentication", false, true},
		{pg("08P01", "SASL authentication failed"), "authentication", false, true},
		{pg("08P01", "something new"), "refused by the pooler", false, false},
		{&pgconn.PgError{Code: "08P01", Routine: "ProcessStartupPacket", Message: "invalid startup packet layout"}, "parameter refused", false, true},
		{pg("08P01", "unsupported options startup parameter: only '-c config=val' is allowed"), "refused by the pooler", false, true},
		{pg("08P01", "unsupported startup parameter in options: x"), "refused by the pooler", false, true},
		{pg("42704", `unrecognized configuration parameter "x"`), "parameter refused", false, true},
		{pg("22023", `invalid value for parameter "x": "y"`), "parameter refused", false, true},
		{pg("42601", "invalid command-line argument for server process: x"), "parameter refused", false, true},
		{pg("42501", `permission denied to set parameter "x"`), "parameter refused", false, true},
		{pg("55P02", `parameter "x" cannot be changed without restarting the server`), "parameter refused", false, true},
		{pg("22P05", "character with byte sequence … has no equivalent"), "parameter refused", false, true},
		{pg("0A000", "unsupported frontend protocol 4.0"), "parameter refused", false, true},
		{pg("55000", `database "x" is not currently accepting connections`), "database closed", false, true},
		{pg("57P04", "terminating connection because the database was dropped"), "no such database", false, true},
		{pg("28003", "something about authorization"), "authentication", false, true},
		{&checkError{pg("42883", "function pg_catalog.pg_backend_pid() does not exist")}, "check refused", false, true},
		{&checkError{pg("57014", "canceling statement due to statement timeout")}, "refused by the server", false, false},
		{pg("53200", "out of memory"), "refused by the server", false, false},
		{pg("F0000", "could not load pg_hba.conf"), "refused by the server", false, false},
		{pg("57P05", "terminating connection due to idle-session timeout"), "refused by the server", false, false},
		{pg("", "no code"), "refused by the server", false, false},
		{pg("XX000", "something new"), "refused by the server", false, false},
		{errors.New("tls error: server refused TLS connection"), "no TLS", false, true},
		{errors.New("tls: failed to verify certificate: x509: unknown authority"), "certificate not trusted", false, true},
		{errors.New("tls: failed to verify certificate: x509: certificate is valid for a, not b"), "certificate not trusted", false, true},
		{x509.CertificateInvalidError{Reason: x509.Expired}, "server certificate expired", false, true},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: expired certificate")}, "client certificate refused", false, true},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: unknown certificate authority")}, "client certificate refused", false, true},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, "client certificate refused", false, true},
		{pg("28000", "connection requires a valid client certificate"), "client certificate refused", false, true},
		{&configError{"sslcert and sslkey do not belong together"}, "files unreadable", false, false},
		{errNoHost, "no host name", false, true},
		{&net.DNSError{Err: "no such host", Name: "x"}, "host not found", false, false},
		{context.DeadlineExceeded, "no answer", false, false},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "unreachable", false, false},
		{&credentialsError{errors.New("vault sealed")}, "credentials", false, false},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err), errors.Join(errors.New("another host"), c.err)} {
			got := Explain(err)
			if string(got.Reason) != c.reason || got.Full != c.full || got.Permanent != c.permanent || got.Remedy == "" {
				t.Errorf("%v: %+v, want %q, full %v, permanent %v", err, got, c.reason, c.full, c.permanent)
			}
		}
	}
}

// FuzzDialError wants no text, whatever a server or a proxy says, to break the
// reading of it, and every 53300 to mean a full server.
func FuzzDialError(f *testing.F) {
	for _, message := range []string{"sorry, too many clients already", `too many connections for role "x"`, "unsupported startup parameter: a", "", "\x00 reserved for"} {
		f.Add(pgdriver.StateTooManyConnections, message, "InitPostgres")
		f.Add("08P01", message, "")
	}
	f.Fuzz(func(t *testing.T, code, message, routine string) {
		d := Explain(fmt.Errorf("connect: %w", &pgconn.PgError{Code: code, Message: message, Routine: routine}))
		if d.SQLState != code || d.Reason == "" || !strings.Contains(d.Message, message) {
			t.Errorf("%+v", d)
		}
		if d.Full && d.Permanent || code == pgdriver.StateTooManyConnections && !d.Full {
			t.Errorf("%+v", d)
		}
	})
}

// TestJudgeTimeout says how the statement timeout is kept.
func TestJudgeTimeout(t *testing.T) {
	const want = 30 * time.Second
	for _, c := range []struct {
		want, got time.Duration
		pooler    bool
		how       string
		inForce   bool
	}{
		{0, 0, false, "the server's own", true},
		{want, want, false, "startup parameter", true},
		{want, 0, false, "not in force", false},
		{want, time.Second, false, "not in force", false},
		{want, want, true, "role or database setting", true},
		{want, time.Second, true, "role or database setting", true},
		{want, time.Minute, true, "transactions only", false},
		{want, 0, true, "transactions only", false},
	} {
		if how, inForce := judgeTimeout(c.want, c.got, c.pooler); how != c.how || inForce != c.inForce {
			t.Errorf("%+v: %q, %v", c, how, inForce)
		}
	}
}

// told is an error that says itself what it means.
type told struct {
	error
	trouble Trouble
	ok      bool
}

func (e told) Trouble() (Trouble, bool) { return e.trouble, e.ok }

// TestErrorsSayThemselvesWhatTheyMean has an error from outside the package.
func TestErrorsSayThemselvesWhatTheyMean(t *testing.T) {
	full := Trouble{Reason: ReasonFleetFull, Full: true, Paced: true}
	if f := Explain(fmt.Errorf("enter: %w", told{errors.New("no room"), full, true})); f.Trouble != full {
		t.Errorf("%+v", f)
	}
	if f := Explain(told{errors.New("who knows"), full, false}); f.Reason != ReasonUnreachable {
		t.Errorf("%+v, although the error does not say", f)
	}
}

// TestEveryReasonIsListed wants a constant for each reason, and each to be listed:
// whoever asks it for NoCapacity, or lists it as a label, misses none.
func TestEveryReasonIsListed(t *testing.T) {
	source, err := os.ReadFile("classify.go")
	if err != nil {
		t.Fatal(err)
	}
	if literal := regexp.MustCompile(`Reason: *"[^"]*"`).Find(source); literal != nil {
		t.Errorf("%s: make it a constant in reason.go", literal)
	}
	listed, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(regexp.MustCompile(`(?m)^\tReason\w+ +Reason = `).FindAll(listed, -1)); n != len(Reasons()) {
		t.Errorf("%d constants, and %d are listed", n, len(Reasons()))
	}
}
