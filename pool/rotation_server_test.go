package pool

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	text string // the certificate, in PEM form
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert = &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.text, _ = a.issue(a.cert, time.Hour)
	return a
}

// issue makes a certificate that has been valid for an hour and goes on for life.
func (a *authority) issue(template *x509.Certificate, life time.Duration) (cert, key string) {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(life)
	if a.key == nil {
		a.key = k
	}
	c, err1 := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	if template == a.cert {
		a.cert, err = x509.ParseCertificate(c)
	}
	b, err2 := x509.MarshalECPrivateKey(k)
	if err := errors.Join(err, err1, err2); err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: b}))
}

func (a *authority) server(life time.Duration) (cert, key string) {
	a.t.Helper()
	return a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "db"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, life)
}

func (a *authority) client(role string, life time.Duration) (cert, key string) {
	a.t.Helper()
	return a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: role}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, life)
}

// secured is a server that asks the role app for a certificate of clients, and
// the files that a connection string names.
type secured struct {
	t   *testing.T
	srv *pgtest.Server
	dir string
}

func newSecured(t *testing.T, srv *pgtest.Server, clients *authority) *secured {
	t.Helper()
	s := &secured{t, srv, t.TempDir()}
	srv.Exec(t, "create role app login")
	writeServerFile(t, srv, "clients.crt", clients.text)
	writeServerFile(t, srv, "pg_hba.conf", "hostssl all app 127.0.0.1/32 cert\nhost all all 127.0.0.1/32 trust\n")
	srv.Exec(t, "alter system set ssl_ca_file = 'clients.crt'")
	return s
}

// serve gives the server a certificate.
func (s *secured) serve(cert, key string) {
	s.t.Helper()
	writeServerFile(s.t, s.srv, "server.crt", cert)
	writeServerFile(s.t, s.srv, "server.key", key)
	s.srv.Exec(s.t, "alter system set ssl = on")
	s.srv.Exec(s.t, "select pg_reload_conf()")
	time.Sleep(200 * time.Millisecond) // nothing tells when the server has read it
}

// write replaces a file of the client.
func (s *secured) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *secured) writeClient(cert, key string) {
	s.t.Helper()
	s.write("client.crt", cert)
	s.write("client.key", key)
}

func (s *secured) open() *Pool {
	s.t.Helper()
	file := func(name string) string { return filepath.Join(s.dir, name) }
	return open(s.t, settled(with(s.srv.URL, map[string]string{"user": "app", "sslmode": "verify-full",
		"sslrootcert": file("root.crt"), "sslcert": file("client.crt"), "sslkey": file("client.key")}), 2, 0))
}

// lose ends the pool's sessions, so that the next caller needs a dial.
func (s *secured) lose(p *Pool) {
	s.t.Helper()
	s.srv.Exec(s.t, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
	until(s.t, 5*time.Second, "the sessions are gone", func() bool {
		n, err := s.srv.QueryInt(s.t.Context(), "select count(*) from pg_stat_activity where usename = 'app'")
		return n == 0 && err == nil
	})
}

func (s *secured) wantReady(p *Pool, when string) {
	s.t.Helper()
	until(s.t, 5*time.Second, when, func() bool { return p.Ready(s.t.Context()) == nil }) // within the pause after a refusal the answer is that refusal
}

// TestCertificatesReplaced replaces, one after the other, all that TLS is made
// of while the pool is open, and wants what is out of date to have a verdict of
// its own.
func TestCertificatesReplaced(t *testing.T) {
	t.Parallel()
	onServers(t, nil, func(t *testing.T, srv *pgtest.Server) {
		one, two, clients, strangers := newAuthority(t, "one"), newAuthority(t, "two"), newAuthority(t, "clients"), newAuthority(t, "strangers")
		s := newSecured(t, srv, clients)
		s.serve(one.server(time.Hour))
		s.write("root.crt", one.text)
		s.writeClient(clients.client("app", 2*time.Second))
		p := s.open()
		s.wantReady(p, "at first")

		time.Sleep(2500 * time.Millisecond)
		s.lose(p)
		wantDialError(t, p, "client certificate refused")
		s.writeClient(clients.client("app", time.Hour))
		s.wantReady(p, "client certificate renewed")
		s.lose(p)
		s.writeClient(strangers.client("app", time.Hour))
		wantDialError(t, p, "client certificate refused")
		s.writeClient(clients.client("app", time.Hour))
		s.wantReady(p, "the right authority")

		s.serve(two.server(time.Hour))
		s.lose(p)
		wantDialError(t, p, "certificate not trusted")
		s.write("root.crt", two.text)
		s.wantReady(p, "authority replaced")
		s.serve(two.server(-time.Minute))
		s.lose(p)
		wantDialError(t, p, "server certificate expired")
		s.serve(two.server(time.Hour))
		s.wantReady(p, "server certificate renewed")
	})
}

// TestFilesHalfReplaced meets the moment between two files. It passes, so Ready
// waits; and what is said quotes no file.
func TestFilesHalfReplaced(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	ours := newAuthority(t, "ours")
	s := newSecured(t, srv, ours)
	s.serve(ours.server(time.Hour))
	s.write("root.crt", ours.text)
	cert, key := ours.client("app", time.Hour)
	s.writeClient(cert, key)
	p := s.open()
	s.wantReady(p, "at first")
	_, other := ours.client("app", time.Hour)
	for says, spoil := range map[string]func(){
		"sslcert and sslkey do not belong together":                                func() { s.write("client.key", other) },
		"a file that DATABASE_URL names cannot be read: no such file or directory": func() { os.Remove(filepath.Join(s.dir, "client.crt")) },
		"sslrootcert holds no certificate in PEM form":                             func() { s.write("root.crt", "half of it") },
	} {
		s.lose(p)
		spoil()
		ready := make(chan error, 1)
		go func() { ready <- p.Ready(t.Context()) }()
		until(t, 5*time.Second, says, func() bool {
			e := p.Stats().LastDialError
			return e != nil && e.Message == says && e.Reason == "files unreadable"
		})
		s.write("root.crt", ours.text)
		s.writeClient(cert, key)
		if err := <-ready; err != nil {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// TestPasswordFileReplaced changes the password, on the server and in the file.
func TestPasswordFileReplaced(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{Auth: pgtest.AuthSCRAM})
	file := filepath.Join(t.TempDir(), "pgpass")
	change := func(password string) {
		srv.Exec(t, fmt.Sprintf("alter role app password '%s'", password))
		if err := os.WriteFile(file, []byte("127.0.0.1:*:*:app:"+password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	srv.Exec(t, "create role app login")
	change("first")
	p := open(t, settled(fmt.Sprintf("host=%s port=%d user=app dbname=postgres sslmode=disable passfile=%s", srv.Host, srv.Port, file), 2, 0))
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	change("second")
	srv.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
	if err := p.Ready(t.Context()); err != nil {
		t.Errorf("after the change: %v", err)
	}
}

// TestServiceFileReplaced moves the service to another server.
func TestServiceFileReplaced(t *testing.T) {
	first, second := pgtest.Start(t, pgtest.Options{}), pgtest.Start(t, pgtest.Options{})
	file := filepath.Join(t.TempDir(), "service.conf")
	point := func(srv *pgtest.Server) {
		text := fmt.Sprintf("[orders]\nhost=%s\nport=%d\nuser=%s\ndbname=postgres\n", srv.Host, srv.Port, pgtest.Superuser)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	point(first)
	p := open(t, settled("service=orders sslmode=disable servicefile="+file, 1, 0))
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	point(second)
	first.Stop()
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	var port string
	if err := p.QueryRowContext(t.Context(), "show port").Scan(&port); err != nil || port != fmt.Sprint(second.Port) {
		t.Errorf("port %s, %v; want %d", port, err, second.Port)
	}
	if strings.Contains(fmt.Sprint(p.Stats().LastDialError), file) {
		t.Error("the error quotes the file")
	}
}
