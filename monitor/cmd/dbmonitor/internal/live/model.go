package live

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/report"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
)

// model is the state of the view. Only bubbletea's loop touches it.
type model struct {
	ctx      context.Context // ends when the view does; bounds every Fetch
	services []*service
	interval time.Duration

	width, height int
	selected      int  // the service whose details are shown
	scroll        int  // first line of the holders' table that is shown
	window        int  // index into windows: how much of the past the charts show
	lower         int  // which table the lower part shows when there is room for one
	paused        bool // nothing is asked
	help          bool
	tick          int // the number of the timer that counts; older ones are ignored
}

// windows are the spans that the charts can show.
var windows = [...]time.Duration{2 * time.Minute, 5 * time.Minute, 15 * time.Minute}

// answerMsg is one answer of one service.
type answerMsg struct {
	service int
	snap    source.Snapshot
}

// tickMsg says that it is time to ask again.
type tickMsg int

func newModel(ctx context.Context, services []Service, interval time.Duration) *model {
	m := &model{ctx: ctx, interval: interval, width: 80, height: 24, window: 1}
	for _, s := range services {
		m.services = append(m.services, newService(s))
	}
	return m
}

// Init asks at once and starts the timer.
func (m *model) Init() tea.Cmd { return tea.Batch(m.askAll(), m.nextTick()) }

// Update takes one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case answerMsg:
		m.services[msg.service].take(msg.snap)
	case tickMsg:
		if int(msg) != m.tick {
			return m, nil
		}
		return m, tea.Batch(m.askAll(), m.nextTick())
	case tea.KeyPressMsg:
		return m, m.press(msg.String())
	}
	return m, nil
}

// askAll asks every service that is not being asked already.
func (m *model) askAll() tea.Cmd {
	if m.paused {
		return nil
	}
	return m.refresh()
}

func (m *model) refresh() tea.Cmd {
	var cmds []tea.Cmd
	for i, s := range m.services {
		if s.asking {
			continue
		}
		s.asking = true
		from := s.past.next
		cmds = append(cmds, func() tea.Msg { return answerMsg{i, s.fetcher.Fetch(m.ctx, from)} })
	}
	return tea.Batch(cmds...)
}

func (m *model) nextTick() tea.Cmd {
	n := m.tick
	return tea.Tick(m.interval, func(time.Time) tea.Msg { return tickMsg(n) })
}

// reports is the last report of each service that was heard of.
func (m *model) reports() []report.Report {
	var all []report.Report
	for _, s := range m.services {
		if s.heard {
			all = append(all, report.New(s.snap, nil))
		}
	}
	return all
}

func (m *model) current() *service { return m.services[m.selected] }

// span is how much of the past the charts of a service show.
func (m *model) span(s *service) time.Duration { return s.past.within(windows[m.window]) }
