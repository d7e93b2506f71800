package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, func() error { return goleak.Find() })
}

// started is a service that run serves in this process.
type started struct {
	base   string
	stderr *syncBuffer
	client *http.Client
	stop   func() int // ends it and returns its exit code
}

// syncBuffer is written by the service and read by the test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var printedURL = regexp.MustCompile(`http://\S+/health`)

// start runs the service until the test ends, or stop is called.
func start(t *testing.T, env map[string]string, args ...string) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	s := &started{stderr: &syncBuffer{}, client: &http.Client{Transport: &http.Transport{}}}
	code := make(chan int, 1)
	go func() {
		defer w.Close()
		code <- run(ctx, append([]string{"--addr", "127.0.0.1:0"}, args...), env, w, s.stderr)
	}()
	s.stop = sync.OnceValue(func() int {
		cancel()
		s.client.CloseIdleConnections()
		return <-code
	})
	t.Cleanup(func() { s.stop() })
	s.base = strings.TrimSuffix(firstURL(stdout), "/health")
	if s.base == "" {
		t.Fatalf("exit code %d: %s", s.stop(), s.stderr)
	}
	return s
}

// firstURL reads up to the address and lets the rest of the output run off.
func firstURL(r io.Reader) string {
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		seen.Write(buf[:n])
		if url := printedURL.FindString(seen.String()); url != "" {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return url
		}
		if err != nil {
			return ""
		}
	}
}

// do makes a request, wants a status and decodes the answer into v, if any.
func (s *started) do(t *testing.T, method, path, body string, status int, v any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%s %s: %s, %v, want %d: %s\n%s", method, path, resp.Status, err, status, b, s.stderr)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, b)
	}
}

// The whole story on a database of its own: orders, a report, health, status,
// and an end that leaves nothing.
func TestServiceOnItsOwnDatabase(t *testing.T) {
	s := start(t, map[string]string{"DB_POOL_SIZE": "2", "DB_MAX_OVERFLOW": "1"})
	var made order
	s.do(t, "POST", "/orders", `{"item":"tea","quantity":2}`, http.StatusCreated, &made)
	s.do(t, "POST", "/orders", `{"item":"tea","quantity":3}`, http.StatusCreated, nil)
	var list []order
	s.do(t, "GET", "/orders", "", http.StatusOK, &list)
	if len(list) != 2 || list[1] != made {
		t.Errorf("made %+v, listed %+v", made, list)
	}
	var totals []itemTotal
	s.do(t, "GET", "/orders/report?seconds=0.01", "", http.StatusOK, &totals)
	if len(totals) != 1 || totals[0] != (itemTotal{"tea", 2, 5}) {
		t.Errorf("report %+v", totals)
	}

	var health statusjson.HealthReport
	s.do(t, "GET", "/health", "", http.StatusOK, &health)
	if health.Service != statusjson.ServiceName || health.MaxOpen != 3 {
		t.Errorf("health %+v", health)
	}
	var status statusjson.Status
	s.do(t, "GET", "/debug/pool-status", "", http.StatusOK, &status)
	if status.Pool.Size != 2 || status.Queue.AcquiredCount < 4 {
		t.Errorf("status %+v", status)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://")); err == nil {
		t.Error("it still listens")
	}
}

func TestServiceRefusesBadRequests(t *testing.T) {
	s := start(t, map[string]string{"DATABASE_URL": pgtest.Shared(t).URL})
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/orders", `{"item":"","quantity":1}`, http.StatusBadRequest},
		{"POST", "/orders", `{"item":"tea","quantity":-1}`, http.StatusBadRequest},
		{"POST", "/orders", `tea`, http.StatusBadRequest},
		{"GET", "/orders/report?seconds=11", "", http.StatusBadRequest},
		{"GET", "/orders/report?seconds=x", "", http.StatusBadRequest},
		{"DELETE", "/orders", "", http.StatusMethodNotAllowed},
		{"GET", "/nowhere", "", http.StatusNotFound},
		{"POST", "/orders", `{"item":"t\u0000a","quantity":1}`, http.StatusInternalServerError}, // PostgreSQL takes no NUL
	} {
		s.do(t, c.method, c.path, c.body, c.status, nil)
	}
	var list []order
	s.do(t, "GET", "/orders", "", http.StatusOK, &list)
	if len(list) != 0 {
		t.Errorf("refused orders were kept: %+v", list)
	}
}

// The job outlives its request, and the shutdown waits for it.
func TestServiceFinishesJobsBeforeItEnds(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	s := start(t, map[string]string{"DATABASE_URL": srv.URL})
	s.do(t, "POST", "/orders", `{"item":"tea","quantity":2}`, http.StatusCreated, nil)
	s.do(t, "POST", "/jobs/totals", "", http.StatusAccepted, nil)
	if code := s.stop(); code != 0 {
		t.Fatalf("exit code %d: %s", code, s.stderr)
	}
	n, err := srv.QueryInt(t.Context(), "select quantity from dbpool_example.totals where item = 'tea'")
	if n != 2 || err != nil {
		t.Errorf("total %d, %v; log:\n%s", n, err, s.stderr)
	}
}

func TestServiceSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := "127.0.0.1:0"
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		code int
		want []string
	}{
		{"port taken", []string{"--addr", taken.Addr().String()}, nil, 1, []string{"is taken by another program", "--addr 127.0.0.1:0"}},
		{"bad address", []string{"--addr", "nonsense"}, nil, 1, []string{"nonsense"}},
		{"unknown flag", []string{"--prot", "1"}, nil, 2, []string{"-prot", "-addr"}},
		{"argument", []string{"8080"}, nil, 2, []string{`"8080"`}},
		{"help", []string{"--help"}, nil, 0, []string{"-load"}},
		{"all variables", []string{"--addr", free}, map[string]string{"DATABASE_URL": "postgres://127.0.0.1/x", "DB_POOL_SIZE": "0", "DB_POOL_TIMEOUT": "soon"}, 1,
			[]string{"DB_POOL_SIZE", "DB_POOL_TIMEOUT"}},
		{"no such server", []string{"--addr", free}, map[string]string{"DATABASE_URL": "postgres://u:secret@" + taken.Addr().String() + "/x?sslmode=disable", "DB_CONNECT_TIMEOUT": "100ms"}, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			var stdout, stderr bytes.Buffer
			if code := run(ctx, c.args, c.env, &stdout, &stderr); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q does not mention %q", stderr.String(), want)
				}
			}
			if stdout.Len() > 0 || strings.Contains(stderr.String(), "secret") {
				t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
			}
		})
	}
}

func TestServiceLoadKeepsThePoolBusy(t *testing.T) {
	s := start(t, map[string]string{"DATABASE_URL": pgtest.Shared(t).URL}, "--load")
	for {
		var status statusjson.Status
		s.do(t, "GET", "/debug/pool-status", "", http.StatusOK, &status)
		if status.Queue.AcquiredCount > 20 {
			break
		}
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
	if strings.Contains(s.stderr.String(), "level=ERROR") {
		t.Errorf("log: %s", s.stderr)
	}
}

func TestLoadEndsByItself(t *testing.T) {
	s := start(t, map[string]string{"DATABASE_URL": pgtest.Shared(t).URL})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	drive(ctx, s.base, 100*time.Millisecond, discardLog())
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error("it went on")
	}
}

func TestPickMixes(t *testing.T) {
	for _, busy := range []bool{false, true} {
		paths := map[string]int{}
		for n := range 100 {
			method, path, _ := pick(n, busy)
			path, _, _ = strings.Cut(path, "?")
			paths[method+" "+path]++
		}
		reports := map[bool]int{false: 10, true: 25}[busy]
		if paths["GET /orders/report"] != reports || paths["POST /jobs/totals"] != 1 || paths["POST /orders"] != 40 || paths["GET /orders"] != 59-reports {
			t.Errorf("busy %v: %v", busy, paths)
		}
	}
}

// A crowd that is refused is one line a second.
func TestRefusalsAreToldOnceASecond(t *testing.T) {
	var c refusals
	at, told := time.Unix(1000, 0), []int{}
	for range 100 {
		if n := c.add(at); n > 0 {
			told = append(told, n)
		}
		at = at.Add(25 * time.Millisecond)
	}
	if !slices.Equal(told, []int{1, 40, 40}) {
		t.Errorf("told of %v", told)
	}
}
