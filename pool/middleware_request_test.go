package pool

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// What a mux and a handler set on the request is there for those around
// Middleware, also when the handler panics.
func TestRequestIsHandedBack(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	for _, panics := range []bool{false, true} {
		mux := http.NewServeMux()
		mux.HandleFunc("POST /orders/{id}", func(_ http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			r.SetPathValue("own", "8")
			r.Header.Set("X-Seen", "yes")
			if panics {
				panic("handler")
			}
		})
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/orders/7?a=b", strings.NewReader("c=d"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		before := r.Context()
		recovered(func() { p.Middleware(mux).ServeHTTP(httptest.NewRecorder(), r) })
		got := []string{r.Pattern, r.PathValue("id"), r.PathValue("own"), r.Form.Encode(), r.PostForm.Encode(), r.Header.Get("X-Seen")}
		if strings.Join(got, " ") != "POST /orders/{id} 7 8 a=b&c=d c=d yes" {
			t.Errorf("%q", got)
		}
		if r.Context() != before || FromContext(r.Context()) != nil {
			t.Error("the request keeps the session's context")
		}
	}
}

// The server removes the files of an upload that a handler inside has parsed.
func TestUploadsLeaveNoFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	p, _ := hookPool(t, &hookDriver{})
	inside := 0
	srv := httptest.NewServer(p.Middleware(p.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil {
			t.Error(err)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "multipart-*"))
		inside = len(files)
	}))))
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, _ := form.CreateFormFile("file", "big")
	_, _ = part.Write(make([]byte, 11<<20)) // what is kept in memory at most, and more
	_ = form.Close()
	resp, err := http.Post(srv.URL, form.FormDataContentType(), &body) //nolint:noctx // a local server
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	srv.Close() // waits for the request's end
	left, _ := os.ReadDir(dir)
	if inside != 1 || len(left) != 0 {
		t.Errorf("%d files while it was handled, %d left", inside, len(left))
	}
}

// A goroutine of the handler may ask for a connection while a mux inside still
// writes the pattern. The race detector judges.
func TestNameIsReadBesideTheMux(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	mux := http.NewServeMux()
	mux.HandleFunc("/orders/{id}", func(http.ResponseWriter, *http.Request) {})
	h := p.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = p.ExecContext(r.Context(), "prefetch") })
		mux.ServeHTTP(w, r)
		wg.Wait()
	}))
	for range 50 {
		serve(t, h, "GET", "/orders/7")
	}
}

// What a client makes up names nothing.
func TestRoutesAreNotTheClientsChoice(t *testing.T) {
	for method, want := range map[string]string{"GET": "GET other", "TRACE": "TRACE other", "HUNTER": "other", "get": "other"} {
		if got := otherRoute(method); got != want {
			t.Errorf("%s: %q", method, got)
		}
	}
}

// frameworkWriter is the writer of a framework whose handlers write past Middleware.
type frameworkWriter struct {
	http.ResponseWriter
	status  int
	written bool
}

func (f *frameworkWriter) Status() int   { return f.status }
func (f *frameworkWriter) Written() bool { return f.written }

// An error that a framework's handler writes past Middleware rolls back, and a
// commit that fails then does not write a second response.
func TestErrorsWrittenPastMiddleware(t *testing.T) {
	for name, tt := range map[string]struct {
		status  int
		written bool
		driver  hookDriver
		want    string
		logged  int
	}{
		"error":              {409, true, hookDriver{}, "begin exec rollback", 0},
		"error, status only": {409, false, hookDriver{}, "begin exec rollback", 0},
		"success":            {201, true, hookDriver{}, "begin exec commit", 0},
		"failed commit":      {201, true, hookDriver{commit: failing(errBoom)}, "begin exec commit", 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := &events{}
			d := tt.driver
			d.begin, d.exec, d.commit, d.rollback = e.wrap("begin", nil), e.wrap("exec", nil), e.wrap("commit", d.commit), e.wrap("rollback", nil)
			p, log := timedPool(t, 1, &d)
			defer p.Close()
			rec := httptest.NewRecorder()
			w := &frameworkWriter{ResponseWriter: rec, status: 200}
			p.Middleware(insertAnd(func(http.ResponseWriter, *http.Request) { w.status, w.written = tt.status, tt.written })).
				ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
			if got := e.String(); got != tt.want || rec.Body.Len() != 0 {
				t.Errorf("%s, body %q", got, rec.Body)
			}
			if n := len(log.with(t, "ending the transaction after the response failed")); n != tt.logged {
				t.Errorf("%d lines", n)
			}
		})
	}
}

// gRPC says its errors below HTTP's status.
func TestGRPCErrorsRollBack(t *testing.T) {
	set := func(key, value string, write ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for _, s := range write {
				_, _ = io.WriteString(w, s)
			}
			w.Header().Set(key, value)
		}
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    string
		logged  int
	}{
		"header, written":         {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Grpc-Status", "5"); w.WriteHeader(200) }, "begin exec rollback 200", 0},
		"header":                  {set("Grpc-Status", "5"), "begin exec rollback", 0},
		"trailer":                 {set(http.TrailerPrefix+"Grpc-Status", "5"), "begin exec rollback", 0},
		"success":                 {set("Grpc-Status", "0"), "begin exec commit", 0},
		"success after a message": {set(http.TrailerPrefix+"Grpc-Status", "0", "message"), "begin exec commit 200 body", 0},
		"error after a message":   {set(http.TrailerPrefix+"Grpc-Status", "5", "message"), "begin exec commit 200 body", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, hookDriver{}, insertAnd(tt.handler))
			s.get(t)
			s.wantEvents(t, tt.want)
			if n := len(s.log.with(t, "committed before the response said that the call failed")); n != tt.logged {
				t.Errorf("%d lines", n)
			}
		})
	}
}

// A framework that writes its errors after its middleware gets a line in the log.
func TestErrorsWrittenAfterMiddleware(t *testing.T) {
	for status, lines := range map[int]int{409: 1, 201: 0} {
		p, log := timedPool(t, 1, &hookDriver{})
		var w http.ResponseWriter
		p.Middleware(insertAnd(func(inner http.ResponseWriter, _ *http.Request) { w = inner })).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		w.WriteHeader(status)
		if n := len(log.with(t, "response failed after the commit")); n != lines {
			t.Errorf("%d: %d lines", status, n)
		}
		_ = p.Close()
	}
}

func TestMiddlewareFuncIsMiddleware(t *testing.T) {
	p, _ := hookPool(t, &hookDriver{})
	use := func(m func(http.Handler) http.Handler) { // as a router's
		h := m(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if s := FromContext(r.Context()); s == nil || !s.opts.tx.ReadOnly {
				t.Error("no session, or not with these options")
			}
		}))
		serve(t, h, "GET", "/")
	}
	use(p.MiddlewareFunc(WithReadOnly()))
}
