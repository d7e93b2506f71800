package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/internal/pgtest"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/sample"
)

const password = "s3cret-p4ss"

func TestDoctor(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{Auth: pgtest.AuthSCRAM, Settings: map[string]string{"max_connections": "20"}})
	srv.Exec(t, "create role app login password '"+password+"'")
	url := srv.DSN("postgres", "app", password)
	conn, err := pgx.Connect(t.Context(), url+"&application_name=orders")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())

	for name, tt := range map[string]struct {
		env  environment
		args []string
		code int
		want []string
	}{
		"fits": {nil, []string{url, "--pool-size", "3", "--max-overflow=0"}, 0, []string{"HEALTHY  postgres://app:xxxxx@", `application "orders"`, "orders (the fleet)", "fits: 6 <="}},
		"from environment": {environment{"DATABASE_URL": url, "DB_POOL_SIZE": "3", "DB_MAX_OVERFLOW": "3", "DB_FLEET_REPLICAS": "2", "DB_FLEET_SURGE": "0"}, nil, 0,
			[]string{"2 replicas (as declared)", "(2 replicas + 0 surge) x (3 pool size + 3 overflow) = 12"}},
		"flags win":      {environment{"DATABASE_URL": url, "DB_POOL_SIZE": "1", "DB_FLEET_REPLICAS": "1"}, []string{"--pool-size", "9", "--replicas", "8"}, 2, []string{"CRITICAL", "does not fit: 126 >", "DB_FLEET=enforce"}},
		"deploy":         {nil, []string{"--replicas", "1", url}, 1, []string{"WARNING", "during a rolling deploy", "by default; --pool-size"}},
		"other name":     {nil, []string{url, "--application", "billing", "--pool-size=1", "--max-overflow=1"}, 0, []string{`application "billing" (as given)`}},
		"keyword form":   {nil, []string{strings.NewReplacer("postgres://app:"+password+"@127.0.0.1:", "host=127.0.0.1 user=app password="+password+" port=", "/postgres?sslmode=disable", " dbname=postgres sslmode=disable").Replace(url), "--pool-size=1", "--max-overflow=0"}, 0, []string{"password=xxxxx"}},
		"wrong password": {nil, []string{srv.DSN("postgres", "app", password+"x")}, 3, []string{"UNREACHABLE  postgres://app:xxxxx@", "authentication"}},
		"nobody there":   {nil, []string{"postgres://app:" + password + "@127.0.0.1:1/x"}, 3, []string{"UNREACHABLE", "connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := invoke(t.Context(), tt.env, append([]string{"doctor"}, tt.args...)...)
			if code != tt.code || errs != "" || strings.Contains(out, password) {
				t.Errorf("code %d, want %d\n%s%s", code, tt.code, out, errs)
			}
			for _, w := range tt.want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in\n%s", w, out)
				}
			}
			code, out, _ = invoke(t.Context(), tt.env, append([]string{"doctor", "--json"}, tt.args...)...)
			var doc struct {
				ExitCode int `json:"exit_code"`
			}
			if err := json.Unmarshal([]byte(out), &doc); err != nil || code != tt.code || doc.ExitCode != tt.code || strings.Contains(out, password) {
				t.Errorf("--json: code %d, %v\n%s", code, err, out)
			}
		})
	}
}

// A full server is a diagnosis, not a failure.
func TestDoctorOfFullServer(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "10"}})
	srv.Exec(t, "create role app login")
	srv.FillSlots(t, 0)
	code, out, _ := invoke(t.Context(), nil, "doctor", srv.DSN("postgres", "app", ""))
	if code != 2 || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "CRITICAL") || !strings.Contains(out, "max_connections") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestDoctorThroughService(t *testing.T) {
	busy := service(t, sample.Busy())
	code, out, errs := invoke(t.Context(), nil, "doctor", busy.URL, "--replicas", "3")
	if code != 2 || errs != "" || !strings.Contains(out, "(3 replicas + 1 surge) x (5 pool size + 5 overflow) = 40") || !strings.Contains(out, "pg_terminate_backend(4690)") {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for url, want := range map[string]int{service(t, sample.Healthy()).URL: 0, other.URL: 3, service(t, sample.Down()).URL: 2} {
		if code, out, errs := invoke(t.Context(), nil, "doctor", url); code != want || errs != "" {
			t.Errorf("code %d, want %d\n%s%s", code, want, out, errs)
		}
	}
}

func TestDoctorUsage(t *testing.T) {
	for name, tt := range map[string]struct {
		env  environment
		args []string
		want string
	}{
		"no database":     {nil, nil, "DATABASE_URL"},
		"two databases":   {nil, []string{"postgres://a/", "postgres://me:" + password + "@b/"}, "unexpected argument"},
		"two in words":    {nil, []string{"host=a", "host=b password=" + password}, "unexpected argument"},
		"a service too":   {nil, []string{"host=a", "http://me:" + password + "@b/"}, "unexpected argument"},
		"bad size":        {nil, []string{"postgres://h/", "--pool-size", "0"}, "DB_POOL_SIZE"},
		"bad size, http":  {nil, []string{"http://h/", "--pool-size", "0"}, "DB_POOL_SIZE"},
		"bad budget":      {nil, []string{"postgres://h/", "--budget", "half"}, "DB_FLEET_BUDGET"},
		"bad environment": {environment{"DB_POOL_SIZ": "5"}, []string{"postgres://h/"}, "DB_POOL_SIZ"},
		"bad port":        {nil, []string{"postgres://me:" + password + "@h:x/"}, "port"},
		"bad flag":        {nil, []string{"--replica", "2"}, "replica"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := invoke(t.Context(), tt.env, append([]string{"doctor"}, tt.args...)...)
			if code != exitUsage || out != "" || !strings.Contains(errs, tt.want) || strings.Contains(errs, password) {
				t.Errorf("code %d\n%s%s", code, out, errs)
			}
		})
	}
	code, out, _ := invoke(t.Context(), nil, "doctor", "--help")
	if code != 0 || !strings.Contains(out, "--replicas") || !strings.Contains(out, "2  critical") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestDoctorTellsServicesFromDatabases(t *testing.T) {
	for url, want := range map[string]bool{
		"http://h": true, "HTTPS://h:1/x": true, "127.0.0.1:8080": true, "h:8080/debug/pool-status": true, "[::1]:80": true,
		"": false, "h": false, "postgres://h:5432/d": false, "host=h port=5432": false, "app:1234@h": false, "app:hunter2": false, "host=h:1": false,
	} {
		if got := isService(url); got != want {
			t.Errorf("%q: %v", url, got)
		}
	}
}
