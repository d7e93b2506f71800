package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

// report prints what each place says.
func (s *stage) report(ctx context.Context, out io.Writer) {
	s.said.mu.Lock()
	timedOut, shed, failures, warnings := s.said.timedOut, s.said.shed, s.said.failures, s.said.warnings
	s.said.mu.Unlock()
	fmt.Fprintf(out, "   %d callers failed; the log has %d lines\n", failures, len(warnings))
	say(out, "error", sentence(timedOut))
	say(out, "refused", sentence(shed))
	for _, line := range warnings {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			say(out, "log", strings.TrimSpace(line))
		}
	}
	h := s.health(ctx)
	say(out, "/health", string(h.Status)+": "+diagnosis(h))
	var st statusjson.Status
	if s.get(ctx, "/debug/pool-status?format=json", &st) == nil {
		say(out, "page", diagnosis(st.Health))
		say(out, "view", fmt.Sprintf("%.1f s old %s", st.Server.AgeSeconds, st.Server.Error))
	}
	s.command(ctx, out, "dbmonitor", s.url)
	s.command(ctx, out, "doctor", "doctor", s.url)
	s.command(ctx, out, "doctor", "doctor", s.srv.DSN("postgres", "app", ""))
}

func say(out io.Writer, place, text string) {
	if text != "" {
		fmt.Fprintf(out, "   %-10s %s\n", place, text)
	}
}

// sentence is the diagnosis of an error.
func sentence(err error) string {
	var e *pool.AcquireError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Diagnosis.Sentence
}

func diagnosis(h statusjson.HealthReport) string {
	if h.Diagnosis == nil {
		return "no diagnosis"
	}
	return h.Diagnosis.Sentence
}

func (s *stage) health(ctx context.Context) (h statusjson.HealthReport) {
	if err := s.get(ctx, "/health", &h); err != nil {
		h.Status = statusjson.HealthStatus("no answer: " + err.Error())
	}
	return h
}

func (s *stage) get(ctx context.Context, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(into)
}

// command runs dbmonitor and prints the lines that say why.
func (s *stage) command(ctx context.Context, out io.Writer, place string, args ...string) {
	text, err := exec.CommandContext(ctx, "go", append([]string{"run", "./monitor/cmd/dbmonitor"}, args...)...).CombinedOutput()
	shown := 0
	for line := range strings.Lines(string(text)) {
		label, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if label == "why" || label == "critical" || label == "warning" || label == "UNREACHABLE" || label == "CRITICAL" && shown == 0 {
			say(out, place, label+": "+strings.TrimSpace(rest))
			shown++
		}
	}
	if shown == 0 && err != nil {
		say(out, place, err.Error()+" "+strings.TrimSpace(string(text)))
	}
}
