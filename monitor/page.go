package monitor

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strings"
)

//go:embed page/index.html page/*.css page/*.js
var pageFiles embed.FS

// scripts are the page's, in the order in which they build on one another.
var scripts = [...]string{"format.js", "chart.js", "render.js", "lists.js", "locks.js", "server.js", "fleet.js", "incident.js", "app.js"}

// page is the status page: one document that brings all it needs.
type page struct {
	body   []byte
	policy string
}

// newPage puts the document together. The policy lets the browser run exactly
// the one script and the one style sheet in it, by their hashes, and fetch
// nothing but the JSON from where the page came from.
func newPage() page {
	style, script := pageFile("style.css"), ""
	for _, name := range scripts {
		script += pageFile(name)
	}
	body := strings.NewReplacer("{{style}}", style, "{{script}}", script).Replace(pageFile("index.html"))
	return page{body: []byte(body), policy: strings.Join([]string{
		"default-src 'none'",
		"script-src " + sourceHash(script),
		"style-src " + sourceHash(style),
		"connect-src 'self'",
		"img-src data:",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")}
}

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	write(w, r, http.StatusOK, "text/html; charset=utf-8", p.body)
}

// pageFile is a file that was compiled in; that it is there is not in doubt.
func pageFile(name string) string {
	text, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic("monitor: " + err.Error())
	}
	return string(text)
}

func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
