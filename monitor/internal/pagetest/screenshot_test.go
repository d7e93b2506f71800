package pagetest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestScreenshots takes the README's picture, and looks at the page as dark and
// as narrow as it can get. DBPOOL_SCREENSHOTS=1 keeps the README's picture;
// DBPOOL_SCREENSHOTS=<folder> keeps all of them there.
func TestScreenshots(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/debug/pool-status", record(t))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b := open(t)
	for _, shot := range []struct {
		name, scheme string
		width        int64
		scale        float64
	}{{"screenshot", "light", 1200, 1.5}, {"dark", "dark", 1200, 1}, {"phone", "light", 390, 2}, {"phone-dark", "dark", 390, 2}} {
		t.Run(shot.name, func(t *testing.T) {
			b.look(t, shot.scheme, shot.width, shot.scale)
			b.do(t, chromedp.Navigate(srv.URL+"/debug/pool-status"))
			b.waitFor(t, "document.querySelectorAll('svg.chart path').length > 8")
			if wide := value[int64](t, b, "document.documentElement.scrollWidth"); wide > shot.width {
				t.Errorf("the page is %d wide on a screen of %d", wide, shot.width)
			}
			if shot.name == "screenshot" {
				keep(t, shot.name, get(t, b, chromedp.CaptureScreenshot()))
			}
			keep(t, shot.name+"-full", get(t, b, chromedp.FullScreenshot(100)))
		})
	}
	b.checkManners(t, srv.URL)
}

// look sets the screen.
func (b *tab) look(t *testing.T, scheme string, width int64, scale float64) {
	call(t, b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 1232, DeviceScaleFactor: scale, Mobile: width < 500})
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

func keep(t *testing.T, name string, image []byte) {
	folder := os.Getenv("DBPOOL_SCREENSHOTS")
	switch {
	case folder == "", folder == "1" && name != "screenshot":
		return
	case folder == "1":
		folder = "../../page"
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), image, 0o644); err != nil {
		t.Fatal(err)
	}
}
