package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/sample"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// fetch asks url once.
func fetch(t *testing.T, url, token string, timeout time.Duration) Snapshot {
	t.Helper()
	target, err := ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(target, token, timeout)
	t.Cleanup(c.Close)
	return c.Fetch(t.Context(), -1)
}

// serve starts a server that is gone at the end of the test.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func answer(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(v) }
}

func text(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

func TestFetch(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pool-status", answer(sample.Busy()))
	mux.HandleFunc("/app/debug/pool-status", answer(sample.Healthy()))
	mux.HandleFunc("/elsewhere", answer(sample.Down()))
	srv := serve(t, mux.ServeHTTP)
	for path, want := range map[string]statusjson.HealthStatus{
		"":                   statusjson.Degraded,
		"/":                  statusjson.Degraded,
		"/health":            statusjson.Degraded, // the status page is better, and is there
		"/debug/pool-status": statusjson.Degraded,
		"/app":               statusjson.Healthy,
		"/elsewhere":         statusjson.Unhealthy,
	} {
		s := fetch(t, srv.URL+path, "", time.Minute)
		if s.Failure != nil || s.Status == nil || s.Health.Status != want {
			t.Errorf("%q: trouble %v, health %+v, want %s", path, s.Failure, s.Health, want)
		}
	}
}

// The custom place is asked first once it was found, and its history with it.
func TestFetchRemembersPlace(t *testing.T) {
	var asked []string
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		if r.URL.Path == "/x" {
			answer(sample.Healthy())(w, r)
			return
		}
		http.NotFound(w, r)
	})
	target, _ := ParseTarget(srv.URL + "/x?k=v")
	c := NewClient(target, "", time.Minute)
	defer c.Close()
	for i := range 2 {
		if s := c.Fetch(t.Context(), int64(i)); s.Failure != nil {
			t.Fatal(s.Failure)
		}
	}
	want := "[/x/debug/pool-status?history=0&k=v /x?history=0&k=v /x?history=1&k=v]"
	if fmt.Sprint(asked) != want {
		t.Errorf("asked %v, want %v", asked, want)
	}
}

// A guarded status page leaves /health, which is reported with the reason.
func TestFetchFallsBackToHealth(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pool-status", text(401, "text/plain", "no"))
	mux.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		answer(sample.Down().Health)(w, r)
	})
	srv := serve(t, mux.ServeHTTP)
	s := fetch(t, srv.URL, "", time.Minute)
	if s.Failure != nil || s.Status != nil || s.Health.Status != statusjson.Unhealthy {
		t.Fatalf("%+v", s)
	}
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "DBMONITOR_TOKEN") {
		t.Errorf("notes %q", s.Notes)
	}
}

func TestFetchSendsToken(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer abc" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		answer(sample.Healthy())(w, r)
	})
	if s := fetch(t, srv.URL, "abc", time.Minute); s.Failure != nil {
		t.Error(s.Failure)
	}
	for token, want := range map[string]string{"": "set DBMONITOR_TOKEN", "wrong": "token was not accepted"} {
		s := fetch(t, srv.URL, token, time.Minute)
		if s.Failure == nil || !strings.Contains(s.Failure.Error(), want) {
			t.Errorf("token %q: %v, want %q", token, s.Failure, want)
		}
	}
}

// Every wrong place gives one clear line with a remedy.
func TestFetchFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    []string
	}{
		"html":         {text(200, "text/html; charset=utf-8", "<!doctype html><h1>Hi</h1>"), []string{"HTML page", "check host, port and path"}},
		"html unnamed": {text(200, "text/plain", "  <html>"), []string{"HTML page"}},
		"other json":   {text(200, "application/json", `{"status":"UP"}`), []string{"JSON that is not dbpool's"}},
		"json array":   {text(200, "application/json", `[1,2]`), []string{"not dbpool's status"}},
		"other marker": {text(200, "application/json", `{"service":{"dbpool":1}}`), []string{"JSON that is not dbpool's"}},
		"plain text":   {text(200, "text/plain", "OK"), []string{"not dbpool's status"}},
		"empty":        {text(204, "", ""), []string{"HTTP 204"}},
		"not found":    {text(404, "text/plain", "404"), []string{"HTTP 404", "mount"}},
		"bad method":   {text(405, "text/plain", ""), []string{"HTTP 405"}},
		"unauthorized": {text(401, "text/plain", ""), []string{"access refused (HTTP 401", "DBMONITOR_TOKEN"}},
		"forbidden":    {text(403, "text/html", "<html>"), []string{"access refused (HTTP 403"}},
		"proxy":        {text(502, "text/html", "<html>Bad gateway"), []string{"HTTP 502", "proxy"}},
		"too often":    {text(429, "text/plain", ""), []string{"HTTP 429", "--interval"}},
		"to login": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://u:p@sso.example/login?x=1", 302)
		}, []string{"redirects to https://sso.example/login", "not followed"}},
		"loop": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, 302) }, []string{"redirects"}},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"service":`)
		}, []string{"closed the connection"}},
		"wrong types": {text(200, "application/json", `{"service":"dbpool","format":"\u001b[31mx","pool":7}`), []string{"cannot be read", "same release"}},
		"says no":     {text(400, "application/json", `{"service":"dbpool","error":"history: a number is expected"}`), []string{"HTTP 400: history: a number"}},
		"too large":   {text(200, "application/json", `{"service":"dbpool","x":"`+strings.Repeat("x", maxBody)+`"}`), []string{"larger than 8 MiB"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := serve(t, tt.handler)
			s := fetch(t, srv.URL, "", time.Minute)
			oneLine(t, s, tt.want...)
		})
	}
}

// oneLine checks that there is trouble, told in one printable line.
func oneLine(t *testing.T, s Snapshot, want ...string) {
	t.Helper()
	if s.Failure == nil {
		t.Fatalf("no trouble, health %+v", s.Health)
	}
	line := s.Failure.Error()
	for _, w := range want {
		if !strings.Contains(line, w) {
			t.Errorf("%q does not say %q", line, w)
		}
	}
	if line != Sanitize(line, 500) {
		t.Errorf("%q is not one printable line", line)
	}
	if s.Failure.Remedy == "" {
		t.Errorf("%q has no remedy", line)
	}
}

func TestFetchNetworkFailure(t *testing.T) {
	log.SetOutput(io.Discard) // net/http logs what speaks before it was asked
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	plain := serve(t, answer(sample.Healthy()))
	secure := httptest.NewUnstartedServer(answer(sample.Healthy()))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for name, tt := range map[string]struct{ url, want string }{
		"refused":      {"http://" + deadAddr(t), "connection refused: nothing listens on 127.0.0.1:"},
		"not HTTP":     {"http://" + speak(t, true, "220 ready\r\n"), "does not speak HTTP"},
		"speaks first": {"http://" + speak(t, false, "SSH-2.0-OpenSSH_9\r\n"), "does not speak HTTP"},
		"hangs up":     {"http://" + speak(t, true, ""), "closed the connection"},
		"TLS to HTTP":  {strings.Replace(plain.URL, "http:", "https:", 1), "speaks plain HTTP"},
		"HTTP to TLS":  {strings.Replace(secure.URL, "https:", "http:", 1), "write https://"},
		"unknown CA":   {secure.URL, "SSL_CERT_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			oneLine(t, fetch(t, tt.url, "", time.Minute), tt.want)
		})
	}
}

// Errors that a test cannot bring about by itself everywhere.
func TestTransportFailure(t *testing.T) {
	target, _ := ParseTarget("https://me:s3cret@host/?token=s3cret")
	c := NewClient(target, "s3cret", time.Second)
	for want, err := range map[string]error{
		"host host is not known":            &net.DNSError{Name: "host", IsNotFound: true},
		"no answer from host:443 within 1s": &net.DNSError{IsTimeout: true},
		"cannot ask host:443: odd":          errors.New("odd"),
		"TLS with host:443 fails":           errors.New("remote error: tls: handshake failure"),
	} {
		line := c.transportFailure(fmt.Errorf("Get: %w", err)).Error()
		if !strings.Contains(strings.ReplaceAll(line, "Get: ", ""), want) || strings.Contains(line, "s3cret") {
			t.Errorf("%v: %q, want %q", err, line, want)
		}
	}
}

func TestFetchTimesOut(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(release)
	oneLine(t, fetch(t, srv.URL, "", 150*time.Millisecond), "no answer from 127.0.0.1:", "within 150ms", "--timeout")
}

// deadAddr is an address where nothing listens.
func deadAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// speak listens, says one thing to everyone, at once or when asked, and hangs up.
func speak(t *testing.T, asked bool, words string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !asked {
				io.WriteString(conn, words)
			}
			buf := make([]byte, 1024)
			conn.Read(buf) // the request, so that closing does not reset
			if asked {
				io.WriteString(conn, words)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// A token leaves this machine for the named host only.
func TestTokenStaysHome(t *testing.T) {
	var leaked bool
	other := serve(t, func(_ http.ResponseWriter, r *http.Request) { leaked = true })
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
	})
	s := fetch(t, srv.URL, "abc", time.Minute)
	if leaked || s.Failure == nil {
		t.Errorf("followed to another host: %+v", s)
	}
}

func TestCheckToken(t *testing.T) {
	for token, ok := range map[string]bool{"": true, "abc.DEF-1~": true, "a b": false, "a\n": false, "ä": false} {
		if err := CheckToken(token); (err == nil) != ok || err != nil && token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v", token, err)
		}
	}
}
