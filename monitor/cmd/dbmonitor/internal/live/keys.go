package live

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// The bounds of the interval that can be chosen with + and -.
const (
	shortest = 500 * time.Millisecond
	longest  = time.Minute
)

// binding is what a key does, as the help tells it.
type binding struct{ keys, short, long string }

var bindings = []binding{
	{"q", "quit", "quit (also Ctrl-C and Esc); the exit code is the last state's"},
	{"?", "help", "this help"},
	{"p", "pause", "pause and go on (also Space)"},
	{"r", "refresh", "ask again now"},
	{"+ -", "interval", "ask more or less often"},
	{"w", "window", "how much of the past the charts show: 2, 5 or 15 minutes"},
	{"Tab", "server", "show another service's details (also ← →, Shift-Tab and 1 to 9)"},
	{"t", "table", "the next list in the lower part"},
	{"↑ ↓", "scroll", "scroll the holders (also k and j)"},
}

// press does what a key is for.
func (m *model) press(key string) tea.Cmd {
	if m.help && key != "q" && key != "ctrl+c" {
		m.help = false
		return nil
	}
	switch key {
	case "q", "ctrl+c", "esc":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "p", "space":
		m.paused = !m.paused
		return m.askAll()
	case "r":
		return m.refresh()
	case "+", "=":
		return m.setInterval(m.interval / 2)
	case "-", "_":
		return m.setInterval(m.interval * 2)
	case "w":
		m.window = (m.window + 1) % len(windows)
	case "t":
		m.lower, m.scroll = (m.lower+1)%len(tables), 0
	case "?", "h", "f1":
		m.help = true
	default:
		m.move(key)
	}
	return nil
}

// move goes to another service or another line.
func (m *model) move(key string) {
	n := len(m.services)
	switch key {
	case "tab", "right":
		m.choose((m.selected + 1) % n)
	case "shift+tab", "left":
		m.choose((m.selected + n - 1) % n)
	case "up", "k":
		m.scroll = max(m.scroll-1, 0)
	case "down", "j":
		m.scroll++ // the table stops it at its end
	case "1", "2", "3", "4", "5", "6", "7", "8", "9":
		if i := int(key[0] - '1'); i < n {
			m.choose(i)
		}
	}
}

func (m *model) choose(i int) {
	if i != m.selected {
		m.selected, m.scroll = i, 0
	}
}

// setInterval starts a new timer; the one that runs is forgotten.
func (m *model) setInterval(d time.Duration) tea.Cmd {
	m.interval = min(max(d, shortest), longest)
	m.tick++
	return m.nextTick()
}
