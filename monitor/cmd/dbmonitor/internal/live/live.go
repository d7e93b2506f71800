// Package live is the full-screen view: it asks every service again and again
// and draws what they answer.
//
// Only bubbletea's own loop touches the model; answers reach it as messages.
// Every text of a snapshot was made fit for a terminal when it was decoded.
package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
)

// Fetcher asks one service. It is not called again before it has returned.
type Fetcher interface {
	Fetch(ctx context.Context, history int64) source.Snapshot
}

// Service is one service to watch.
type Service struct {
	Name    string // what to call it until it says its own name
	Fetcher Fetcher
}

// ErrNoAnswer is returned when the view was left before any service was heard of.
var ErrNoAnswer = errors.New("left before the first answer")

// Run shows the services until the user quits or ctx ends, and gives the
// terminal back as it was. It returns each service's last report; one that has
// not been heard of has none.
func Run(ctx context.Context, services []Service, interval time.Duration, in io.Reader, out io.Writer) ([]report.Report, error) {
	fetching, stop := context.WithCancel(ctx)
	defer stop()
	program := tea.NewProgram(newModel(fetching, services, interval),
		tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler(), tea.WithFPS(30))
	release := context.AfterFunc(ctx, program.Quit)
	defer release()
	last, err := program.Run()
	if err != nil {
		return nil, fmt.Errorf("live view: %w", err)
	}
	reports := last.(*model).reports()
	if len(reports) == 0 {
		return nil, ErrNoAnswer
	}
	return reports, nil
}
