package pagetest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/internal/fakesource"
	"github.com/dbpool-go/dbpool/pool"
)

// misfit is a fleet that can ask for more than there is.
func misfit() pool.FleetStats {
	return pool.FleetStats{
		Mode: config.FleetWarn, At: time.Now(), Replicas: 5, Usable: 47, Need: 60,
		Arithmetic: []string{
			"server: max_connections 100 - superuser_reserved_connections 3 - 50 sessions of others = 47", "usable: 47",
			"fleet: (5 replicas + 1 surge) x (5 pool size + 5 overflow) = 60", "does not fit: 60 > 47",
		},
		Remedies: []string{
			"remedy: DB_FLEET=enforce shares the 47 among the live replicas", "remedy: DB_POOL_SIZE=4 DB_MAX_OVERFLOW=3: 6 x 7 = 42",
			"remedy: run at most 3 replicas", "remedy: ALTER SYSTEM SET max_connections = 113; and a restart, or PgBouncer in between",
		},
	}
}

func TestPageShowsTheFleet(t *testing.T) {
	src := fakesource.New(t)
	url := serve(t, src)
	b := open(t)
	b.look(t, "light", 1200, 1)
	b.do(t, chromedp.Navigate(url+"/debug/pool-status"))
	b.waitFor(t, says("#status", "Healthy"))
	if !value[bool](t, b, "document.querySelector('#fleet').hidden") {
		t.Error("a fleet is shown though nobody looks at it")
	}

	src.Set(func(s *pool.Stats) { s.Fleet = pool.FleetStats{Mode: config.FleetWarn} })
	b.waitFor(t, says("#fleet-verdict", "not looked at yet"))

	src.Set(func(s *pool.Stats) { s.Fleet = misfit() })
	b.waitFor(t, says("#fleet-verdict", "does not fit"))
	b.waitFor(t, says("#status", "Degraded"))
	b.waitFor(t, says("main", "it can ask for 60 connections, and 47 are usable"))
	b.waitFor(t, says("#events", "47 are usable (5 replicas + 1 in a deploy)"))
	for where, text := range map[string]string{
		"#fleet-figures .legend":       "13too many",
		"#fleet-figures .facts":        "5, and 1 more while a deploy rolls",
		"#fleet-words":                 "fleet: (5 replicas + 1 surge) x (5 pool size + 5 overflow) = 60",
		"#fleet-words .remedies":       "ALTER SYSTEM SET max_connections = 113;",
		"#fleet-words li:last-of-type": "does not fit: 60 > 47",
	} {
		b.waitFor(t, says(where, text))
	}
	if over := value[string](t, b, "document.querySelector('#fleet-figures .over').style.width"); over != "21.6667%" {
		t.Errorf("13 of 60 are drawn as %s", over)
	}
	keep(t, "fleet-misfit", get(t, b, chromedp.FullScreenshot(100)))

	src.Set(func(s *pool.Stats) {
		s.Fleet = pool.FleetStats{Mode: config.FleetEnforce, At: time.Now(), Replicas: 5, Usable: 47, Need: 6, Fits: true, Share: 8, Tokens: 7, Headroom: 3}
	})
	b.waitFor(t, says("#fleet-verdict", "fits")+" && "+says("#fleet-figures", "has 7, may have 8")+" && "+says("#fleet-figures", "shared by need"))
	b.waitFor(t, says("#status", "Healthy"))
	b.waitFor(t, says("#events", "the fleet fits again"))
	if value[bool](t, b, "document.querySelector('#fleet-words').textContent.includes('To make it fit')") {
		t.Error("remedies are shown for a fleet that fits")
	}
	src.Set(func(s *pool.Stats) { s.Fleet.Fallback = "a pooler in transaction mode" })
	b.waitFor(t, says("#fleet-figures", "divided by number: a pooler in transaction mode"))

	src.Set(func(s *pool.Stats) { s.Fleet = pool.FleetStats{Mode: config.FleetOff} })
	b.waitFor(t, "document.querySelector('#fleet').hidden")
	b.checkManners(t, url)
}

// TestFiguresAreOfOneMoment compares, at the moment at which the number changes,
// the number with what is coloured in the bar, and with the chart's legend: the
// history's last entry is of the busiest moment in its step.
func TestFiguresAreOfOneMoment(t *testing.T) {
	src := fakesource.New(t)
	src.Set(func(s *pool.Stats) { s.InUse, s.Idle = 7, 3 })
	url := serve(t, src)
	b := open(t)
	b.do(t, chromedp.Navigate(url+"/debug/pool-status"))
	b.waitFor(t, says("#in-use", "7")+" && document.querySelector('svg.chart path.use')?.getAttribute('d').length > 20")
	b.do(t, chromedp.Evaluate[chromedp.Void](`window.seen = []; window.watcher = new MutationObserver(() => {
		const slots = [...document.querySelectorAll('#rack span')], colour = getComputedStyle(document.querySelector('.key.use')).backgroundColor;
		window.seen.push([byID('in-use').textContent, slots.filter((s) => getComputedStyle(s).backgroundColor === colour).length,
			document.querySelector('#charts .legend b').textContent].join(' '));
	}); window.watcher.observe(byID('in-use'), { childList: true, characterData: true, subtree: true })`))
	src.Set(func(s *pool.Stats) { s.InUse, s.Idle = 3, 7 })
	b.waitFor(t, "window.seen.length > 0")
	if got := value[string](t, b, "window.seen[0]"); got != "3 3 3" {
		t.Errorf("number, segments and legend: %s; want all 3", got)
	}
	b.checkManners(t, url)
}
