package pool

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func serve(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, target, nil))
	return rec
}

func TestHijackCommitsFirst(t *testing.T) {
	s := newSite(t, hookDriver{}, insertAnd(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\nhello")
		_ = rw.Flush()
		if _, err := w.Write(nil); err != http.ErrHijacked {
			t.Errorf("Write after Hijack: %v", err)
		}
	}))
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	got, _ := io.ReadAll(conn)
	if !strings.HasSuffix(string(got), "hello") || strings.Count(string(got), "HTTP/1.1") != 1 {
		t.Errorf("the client sees %q", got)
	}
	if got := without(s.events.String(), "unwrap"); got != "begin exec commit body" {
		t.Error(got)
	}
}

func TestHijackNotSupportedCommitsNothing(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	rec := serve(t, p.Middleware(insertAnd(func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Error(err)
		}
		if err := insert(r.Context(), FromContext(r.Context())); err != nil {
			t.Error("the session is over:", err)
		}
		w.WriteHeader(500)
	})), "GET", "/")
	if rec.Code != 500 {
		t.Error(rec.Code)
	}
}

// plainWriter can do nothing but write.
type plainWriter struct{ http.ResponseWriter }

func TestFlusherIsClaimedOnlyIfThereIsOne(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	h := p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, ok := w.(http.Flusher); ok {
			t.Error("claims to flush")
		}
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Error(err)
		}
		w.WriteHeader(204)
	}))
	rec := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(plainWriter{w}, r) }), "GET", "/")
	if rec.Code != 204 {
		t.Errorf("status %d: a flush that is not supported began the response", rec.Code)
	}
}

func TestResponseControllerReachesTheServer(t *testing.T) {
	s := newSite(t, hookDriver{}, insertAnd(func(w http.ResponseWriter, _ *http.Request) {
		rc := http.NewResponseController(w)
		err := errors.Join(
			rc.SetReadDeadline(time.Now().Add(time.Minute)),
			rc.SetWriteDeadline(time.Now().Add(time.Minute)),
			rc.EnableFullDuplex())
		if err != nil {
			t.Error(err)
		}
	}))
	resp, _ := s.get(t)
	wantStatus(t, resp, 200)
}

// A stream reaches its client while the handler still runs, over HTTP/2 too.
func TestStreamOverHTTP2(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	seen := make(chan struct{})
	srv := httptest.NewUnstartedServer(p.Middleware(insertAnd(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Error(r.Proto)
		}
		if err := w.(http.Pusher).Push("/style.css", nil); err == nil {
			t.Error("pushed to a client that refuses pushes")
		}
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		receive(t, seen)
	})))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	close(seen)
	if line != "first\n" {
		t.Errorf("%q, %v", line, err)
	}
}

type pushRecorder struct {
	*httptest.ResponseRecorder
	pushed string
}

func (p *pushRecorder) Push(target string, _ *http.PushOptions) error {
	p.pushed = target
	return nil
}

func TestPush(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	rec := &pushRecorder{ResponseRecorder: httptest.NewRecorder()}
	p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = w.(http.Pusher).Push("/a", nil)
	})).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if rec.pushed != "/a" {
		t.Error(rec.pushed)
	}
}

// What net/http does with a response must not depend on the middleware.
func TestMiddlewareChangesNothingElse(t *testing.T) {
	content := bytes.Repeat([]byte("<p>0123456789</p>"), 1000)
	handlers := map[string]http.HandlerFunc{
		"sniffed": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"long":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) },
		"empty":   func(http.ResponseWriter, *http.Request) {},
		"declared": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, _ = w.Write([]byte("ok"))
		},
		"late header": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(202)
			w.Header().Set("X-Late", "1")
		},
		"trailer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			_, _ = w.Write([]byte("body"))
			w.Header().Set("X-Sum", "1")
		},
		"content": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"v1"`)
			http.ServeContent(w, r, "a.html", time.Unix(1e9, 0), bytes.NewReader(content))
		},
		"no content": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := w.Write([]byte("x")); err != http.ErrBodyNotAllowed {
				t.Errorf("Write after 204: %v", err)
			}
		},
		"limited": func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1)); err != nil {
				http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			}
		},
		"a copy that fails at once": func(w http.ResponseWriter, _ *http.Request) {
			if _, err := io.Copy(w, io.MultiReader(iotest.ErrReader(errBoom))); err != nil {
				http.Error(w, "no answer", http.StatusBadGateway)
			}
		},
		"a copy that fails later": func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.Copy(w, io.MultiReader(strings.NewReader("begun"), iotest.ErrReader(errBoom)))
			if err != errBoom {
				t.Error(err)
			}
		},
		"a copy of nothing": func(w http.ResponseWriter, _ *http.Request) {
			if n, err := io.Copy(w, io.MultiReader()); n == 0 && err == nil {
				http.NotFound(w, nil)
			}
		},
		"a copy in small pieces": func(w http.ResponseWriter, _ *http.Request) {
			if n, err := io.Copy(w, iotest.OneByteReader(bytes.NewReader(content))); n != int64(len(content)) || err != nil {
				t.Error(n, err)
			}
		},
	}
	p, _ := hookPool(t, &hookDriver{})
	for name, h := range handlers {
		plain := httptest.NewServer(h)
		wrapped := httptest.NewServer(p.Middleware(insertAnd(h)))
		for _, method := range []string{"GET", "HEAD", "POST"} {
			for _, condition := range []string{"", "Range: bytes=5-9", `If-None-Match: "v1"`, "Range: bytes=99999999-"} {
				want, got := converse(t, plain, method, condition), converse(t, wrapped, method, condition)
				if got != want {
					t.Errorf("%s %s %s:\n%s\nbecame\n%s", name, method, condition, want, got)
				}
			}
		}
		plain.Close()
		wrapped.Close()
	}
}

// converse returns all that a client sees of a response.
func converse(t *testing.T, srv *httptest.Server, method, condition string) string {
	t.Helper()
	var body io.Reader
	if method == "POST" {
		body = strings.NewReader("body")
	}
	req, _ := http.NewRequestWithContext(t.Context(), method, srv.URL, body)
	if key, value, ok := strings.Cut(condition, ": "); ok {
		req.Header.Set(key, value)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	resp.Header.Del("Date")
	var all bytes.Buffer
	all.WriteString(resp.Status)
	_ = resp.Header.Write(&all)
	_ = resp.Trailer.Write(&all)
	all.Write(content)
	if err != nil || resp.ContentLength < 0 {
		all.WriteString("\nchunked or cut")
	}
	if resp.Close {
		all.WriteString("\nthe last of its connection")
	}
	return all.String()
}
