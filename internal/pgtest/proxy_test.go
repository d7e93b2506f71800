package pgtest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// hello is a packet of a startup's shape.
var hello = packet(196608, "hello world.")

func packet(code uint32, rest string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(rest)))
	return append(binary.BigEndian.AppendUint32(b, code), rest...)
}

// echo is a server that sends back what it gets; closing quits it for one client.
func echo(t *testing.T) (addr string, conns <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ch := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			ch <- conn
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String(), ch
}

func dialProxy(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t *testing.T, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func wantBytes(t *testing.T, conn net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != string(want) {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// wantSilence waits a little for something that must not come.
func wantSilence(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want silence", n, err)
	}
}

func wantEnd(t *testing.T, conn net.Conn, want error) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func TestProxyForwardsAndPassesTheEndOn(t *testing.T) {
	addr, _ := echo(t)
	p := StartProxy(t, addr)
	conn := dialProxy(t, p)
	send(t, conn, hello)
	wantBytes(t, conn, hello)
	send(t, conn, []byte("more"))
	wantBytes(t, conn, []byte("more"))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, conn, io.EOF)
	if p.Accepted() != 1 || p.Cancels() != 0 {
		t.Errorf("accepted %d, cancels %d", p.Accepted(), p.Cancels())
	}
}

func TestProxyBlackHoleAndRefuse(t *testing.T) {
	addr, conns := echo(t)
	p := StartProxy(t, addr)
	before := dialProxy(t, p)
	send(t, before, hello)
	wantBytes(t, before, hello)
	<-conns
	p.BlackHole(true)
	hole := dialProxy(t, p)
	send(t, hole, hello)
	wantSilence(t, hole)
	send(t, before, []byte("x"))
	wantBytes(t, before, []byte("x"))
	p.BlackHole(false)
	p.Refuse(true)
	refused, err := net.Dial("tcp", p.Addr)
	if err == nil { // else the reset came even sooner
		defer refused.Close()
		wantEnd(t, refused, syscall.ECONNRESET)
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	if len(conns) != 0 {
		t.Error("a connection reached the server")
	}
}

func TestProxyCutResets(t *testing.T) {
	addr, _ := echo(t)
	p := StartProxy(t, addr)
	conn := dialProxy(t, p)
	send(t, conn, hello)
	wantBytes(t, conn, hello)
	p.Cut()
	wantEnd(t, conn, syscall.ECONNRESET)
	p.Close()
	p.Close()
	if p.Open() != 0 {
		t.Errorf("%d links left", p.Open())
	}
}

func TestProxyFreezeHoldsAndReleases(t *testing.T) {
	addr, _ := echo(t)
	p := StartProxy(t, addr)
	conn := dialProxy(t, p)
	p.Freeze(true)
	send(t, conn, hello)
	wantSilence(t, conn)
	p.Freeze(false)
	wantBytes(t, conn, hello)
}

// What follows closely is delayed once, not each time anew.
func TestProxyDelaysOnce(t *testing.T) {
	addr, _ := echo(t)
	p := StartProxy(t, addr)
	p.Delay(60 * time.Millisecond)
	conn := dialProxy(t, p)
	start := time.Now()
	for range 20 {
		send(t, conn, hello)
		time.Sleep(5 * time.Millisecond) // a piece of its own
	}
	for range 20 {
		wantBytes(t, conn, hello)
	}
	if took := time.Since(start); took < 120*time.Millisecond || took > time.Second {
		t.Errorf("20 pieces took %s", took)
	}
}

func TestProxyDelays(t *testing.T) {
	addr, _ := echo(t)
	p := StartProxy(t, addr)
	p.Delay(60 * time.Millisecond)
	conn := dialProxy(t, p)
	start := time.Now()
	send(t, conn, hello)
	wantBytes(t, conn, hello)
	if took := time.Since(start); took < 120*time.Millisecond {
		t.Errorf("there and back took %s", took)
	}
}

func TestProxyHidesTheServersEnd(t *testing.T) {
	addr, conns := echo(t)
	p := StartProxy(t, addr)
	conn := dialProxy(t, p)
	send(t, conn, hello)
	wantBytes(t, conn, hello)
	p.HideFIN(true)
	(<-conns).Close()
	wantSilence(t, conn)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantSilence(t, conn)
	if p.Open() != 1 {
		t.Errorf("%d links", p.Open())
	}
	p.Cut()
	wantEnd(t, conn, syscall.ECONNRESET)
}

func TestProxySwallowsCancels(t *testing.T) {
	srv := Shared(t)
	p := srv.Proxy(t)
	conn, err := pgx.Connect(t.Context(), p.URL(srv.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	cancel := func() {
		if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
			t.Errorf("cancel: %v", err)
		}
	}
	p.SwallowCancels(true)
	cancel()
	if _, err := conn.Exec(t.Context(), "select pg_sleep(0.1)"); err != nil {
		t.Errorf("a swallowed cancel arrived: %v", err)
	}
	p.SwallowCancels(false)
	done := make(chan error)
	go func() {
		_, err := conn.Exec(t.Context(), "select pg_sleep(30)")
		done <- err
	}()
	awaitActive(t, srv)
	cancel()
	var pg *pgconn.PgError
	if err := <-done; !errors.As(err, &pg) || pg.Code != "57014" {
		t.Errorf("a passed cancel did not arrive: %v", err)
	}
	if p.Cancels() != 2 {
		t.Errorf("counted %d cancels", p.Cancels())
	}
}

// awaitActive asks until the long statement runs: only then can it be cancelled.
func awaitActive(t *testing.T, srv *Server) {
	t.Helper()
	for t.Context().Err() == nil {
		n, err := srv.QueryInt(t.Context(), `select count(*) from pg_stat_activity
			where datname = $1 and state = 'active' and query like '%pg_sleep(30)%'`, srv.Database)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
}

// A cancel request that first asks for TLS is recognised after the refusal.
func TestProxySeesCancelsBehindATLSRequest(t *testing.T) {
	addr, _ := echo(t)
	p := StartProxy(t, addr)
	p.SwallowCancels(true)
	conn := dialProxy(t, p)
	send(t, conn, packet(codeTLS, ""))
	wantBytes(t, conn, packet(codeTLS, ""))
	send(t, conn, packet(codeCancel, "12345678"))
	wantEnd(t, conn, io.EOF)
	if p.Cancels() != 1 {
		t.Errorf("counted %d cancels", p.Cancels())
	}
}
