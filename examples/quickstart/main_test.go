package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The README's first program serves all three of its addresses.
func TestQuickstartServes(t *testing.T) {
	program := filepath.Join(t.TempDir(), "quickstart")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	addr := freeAddr(t)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+pgtest.Shared(t).URL, "ADDR="+addr)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/tables": "\n", "/health": `"dbpool"`, "/debug/pool-status": `"checked_out"`} {
		if body, err := get("http://" + addr + path); err != nil || !strings.Contains(body, want) {
			t.Errorf("%s: %q, %v; want %s", path, body, err, want)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // killed, as asked
	if t.Failed() {
		t.Log(output.String())
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// get asks until something answers with success: the program is starting.
func get(url string) (string, error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp, err := http.Get(url)
		if err == nil {
			body, readErr := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK || time.Now().After(deadline) {
				return string(body), readErr
			}
		} else if time.Now().After(deadline) {
			return "", err
		}
		<-time.After(20 * time.Millisecond)
	}
}
