package monitor

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
)

func bearer(token string) string { return "Authorization: Bearer " + token }

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestToken(t *testing.T) {
	m := New(fakesource.New(t), WithToken("s3cret"), WithToken("old"))
	for header, want := range map[string]int{
		bearer("s3cret"): 200, "Authorization: bearer s3cret": 200, bearer("old"): 200, basic("anyone", "s3cret"): 200, basic("", "old"): 200,
		"X: none": 401, bearer(""): 401, bearer("s3cre"): 401, bearer("s3cret2"): 401, bearer("S3cret"): 401, basic("s3cret", ""): 401, "Authorization: s3cret": 401, "Authorization: Digest s3cret": 401,
	} {
		for _, accept := range []string{"Accept: application/json", "Accept: text/html"} {
			w := get(m.PoolStatus(), "/debug/pool-status", header, accept)
			if w.Code != want {
				t.Errorf("%s: %d, want %d", header, w.Code, want)
			}
			if want == 401 && (strings.Contains(w.Body.String(), "cret") || strings.Contains(w.Body.String(), "orders") || len(w.Result().Header.Values("WWW-Authenticate")) != 2) {
				t.Errorf("%s: tells %q", header, w.Body)
			}
		}
	}
	if w := get(m.Health(), "/health"); w.Code != 200 {
		t.Errorf("/health: %d", w.Code)
	}
}

func TestAnEmptyTokenLetsNobodyIn(t *testing.T) {
	m := New(fakesource.New(t), WithToken(""), WithToken("known"))
	for _, header := range []string{"X: none", bearer(""), basic("", ""), basic("a", ""), bearer("known")} {
		if w := get(m.PoolStatus(), "/", header); w.Code != 401 {
			t.Errorf("%s: %d", header, w.Code)
		}
	}
}

func TestLoopbackOnly(t *testing.T) {
	m := New(fakesource.New(t), WithLoopbackOnly())
	for _, tc := range []struct {
		from, host, header string
		want               int
	}{
		{"127.0.0.1:5000", "localhost:8080", "X: y", 200}, {"[::1]:5000", "[::1]:8080", "X: y", 200}, {"127.9.9.9:1", "127.0.0.1", "X: y", 200}, {"[::ffff:127.0.0.1]:1", "LocalHost", "X: y", 200},
		{"10.0.0.7:5000", "localhost:8080", "X: y", 403}, {"", "localhost", "X: y", 403}, {"nonsense", "localhost", "X: y", 403},
		{"127.0.0.1:5000", "evil.example:8080", "X: y", 403}, {"127.0.0.1:5000", "localhost.evil.example", "X: y", 403},
		{"127.0.0.1:5000", "localhost", "X-Forwarded-For: 10.1.1.1", 403}, {"127.0.0.1:5000", "localhost", "Forwarded: for=10.1.1.1", 403}, {"127.0.0.1:5000", "localhost", "Via: 1.1 proxy", 403},
	} {
		r := httptest.NewRequest(http.MethodGet, "/debug/pool-status", nil)
		r.RemoteAddr, r.Host = tc.from, tc.host
		name, value, _ := strings.Cut(tc.header, ": ")
		r.Header.Set(name, value)
		w := httptest.NewRecorder()
		m.PoolStatus().ServeHTTP(w, r)
		if w.Code != tc.want {
			t.Errorf("%+v: %d", tc, w.Code)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/debug/pool-status", nil)
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Net: "unix"})))
	r.RemoteAddr, r.Host = "@", "localhost"
	w := httptest.NewRecorder()
	m.PoolStatus().ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("through a Unix socket: %d", w.Code)
	}
}

func TestWhoGetsThePage(t *testing.T) {
	m := New(fakesource.New(t))
	for accept, html := range map[string]bool{
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true, "text/html": true, "TEXT/HTML; q=0.5": true, "application/json;q=0.5, text/html": true,
		"*/*": false, "": false, "application/json": false, "application/json, text/html;q=0.9": false, "text/html;q=0": false, "text/*": false, "text/html;q=x": false,
	} {
		w := get(m.PoolStatus(), "/debug/pool-status", "Accept: "+accept)
		if got := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"); got != html || w.Header().Get("Vary") != "Accept" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %v", accept, w.Header())
		}
	}
	if w := get(m.PoolStatus(), "/?format=json", "Accept: text/html"); !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		t.Errorf("?format=json: %v", w.Header())
	}
	if w := get(m.PoolStatus(), "/?format=html"); !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("?format=html: %v", w.Header())
	}
}

func TestThePagesPolicy(t *testing.T) {
	m := New(fakesource.New(t))
	w := get(m.PoolStatus(), "/debug/pool-status", "Accept: text/html")
	policy, body := w.Header().Get("Content-Security-Policy"), w.Body.String()
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("%q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("%q lets too much through", policy)
	}
	for _, bad := range []string{"{{", " style=\"", " onclick", " onload", "innerHTML", "insertAdjacentHTML", "document.write", "eval(", "src=\"http", "href=\"http", "@import", "url("} {
		if strings.Contains(body, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if strings.Count(body, "<script") != 1 || strings.Count(body, "<style") != 1 {
		t.Error("more than one script or style sheet")
	}
}
