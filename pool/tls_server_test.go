package pool

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// withTLS switches TLS on, with a certificate of the server's own making.
func withTLS(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	cert, key := selfSigned(t)
	writeServerFile(t, srv, "server.crt", cert)
	writeServerFile(t, srv, "server.key", key)
	srv.Exec(t, "alter system set ssl = on")
	srv.Exec(t, "select pg_reload_conf()")
	until(t, 5*time.Second, "TLS is on", func() bool {
		n, err := srv.QueryInt(t.Context(), "select count(*) from pg_settings where name = 'ssl' and setting = 'on'")
		return n == 1 && err == nil
	})
}

// writeServerFile writes a file into the server's folder, as the server.
func writeServerFile(t *testing.T, srv *pgtest.Server, name, text string) {
	t.Helper()
	srv.Exec(t, fmt.Sprintf(`do $do$ begin
		execute format('copy (select unnest(string_to_array(%%L, E''\n''))) to program %%L', $pem$%s$pem$,
			'umask 077; cat > ' || current_setting('data_directory') || '/%s');
	end $do$`, strings.TrimSpace(text), name))
}

func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	c, err1 := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	b, err2 := x509.MarshalECPrivateKey(k)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: b}))
}

// TestTLS cancels, and ends connections, through TLS: the end of a session is
// seen below it, and what the server says above it.
func TestTLS(t *testing.T) {
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		withTLS(t, srv)
		dsn := with(srv.URL, map[string]string{"sslmode": "require"})
		cancelMany(t, dsn, 100) // a cancel request has its own handshake, and each costs
		p := open(t, settled(dsn, 3, 0))
		for range 20 {
			endSessions(t, srv, p)
			if _, err := p.ExecContext(t.Context(), "select 1"); err != nil {
				t.Error(err)
			}
		}
		if n := p.Stats().Closed.Broken; n != 20*3 {
			t.Errorf("%d connections were found broken, want 60", n)
		}
	})
}

// endSessions fills the pool with connections and has the server end them all.
func endSessions(t *testing.T, srv *pgtest.Server, p *Pool) {
	t.Helper()
	var held []*sql.Conn
	for range p.Stats().Limit {
		c, err := p.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Close()
	}
	until(t, 5*time.Second, "housekeeping has none of them for a moment", func() bool { return len(p.gate.IdleSlots()) == len(held) })
	var ended []*os.Process
	for _, sl := range p.gate.IdleSlots() {
		server, err := os.FindProcess(int(sl.PID))
		if err != nil {
			t.Fatal(err)
		}
		ended = append(ended, server)
	}
	if len(ended) != len(held) {
		t.Fatalf("%d of %d connections are idle", len(ended), len(held))
	}
	srv.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ours'")
	// pg_stat_activity forgets a session before its last words have arrived; they
	// have when its process is gone.
	until(t, 5*time.Second, "the sessions are gone", func() bool {
		return !slices.ContainsFunc(ended, func(server *os.Process) bool { return server.Signal(syscall.Signal(0)) == nil })
	})
}

// TestUntrustedCertificate is told at once: waiting does not help.
func TestUntrustedCertificate(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	withTLS(t, srv)
	p := open(t, settled(with(srv.URL, map[string]string{"sslmode": "verify-full"}), 1, 0))
	wantDialError(t, p, "certificate not trusted")
}

// TestNoTLS is told at once too.
func TestNoTLS(t *testing.T) {
	p := open(t, settled(with(pgtest.Shared(t).URL, map[string]string{"sslmode": "require"}), 1, 0))
	wantDialError(t, p, "no TLS")
}

// wantDialError wants a caller to get the failed dial itself, and soon.
func wantDialError(t *testing.T, p *Pool, reason string) {
	t.Helper()
	started := time.Now()
	var dial *DialError
	if err := p.PingContext(t.Context()); !errors.As(err, &dial) || string(dial.Reason) != reason {
		t.Errorf("got %v, want a DialError with reason %q", err, reason)
	}
	if waited := time.Since(started); waited > p.cfg.PoolTimeout/2 {
		t.Errorf("the answer came after %s", waited)
	}
}
