package monitor

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// allowed answers everything but GET and HEAD itself.
func allowed(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	refuse(w, http.StatusMethodNotAllowed)
	return false
}

func writeJSON(w http.ResponseWriter, r *http.Request, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil { // a figure that JSON has no word for, such as NaN
		code, body = http.StatusInternalServerError, []byte(`{"service": "dbpool", "error": "the report could not be written"}`)
	}
	write(w, r, code, "application/json; charset=utf-8", append(body, '\n'))
}

func write(w http.ResponseWriter, r *http.Request, code int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the caller is gone: nobody to tell
	}
}

// wantsHTML reports whether the caller is a browser: one that names text/html,
// and not JSON before it.
func wantsHTML(r *http.Request) bool {
	if format := r.URL.Query().Get("format"); format != "" {
		return format == "html"
	}
	html, json := quality(r, "text/html"), quality(r, "application/json")
	return html > 0 && html >= json
}

// quality returns the weight that the Accept headers give to exactly this type;
// 0 when they do not name it.
func quality(r *http.Request, mediaType string) float64 {
	for _, part := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), mediaType) {
			return weight(params)
		}
	}
	return 0
}

func weight(params string) float64 {
	for _, p := range strings.Split(params, ";") {
		key, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(key), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0
		}
		return q
	}
	return 1
}

// seconds keeps microseconds.
func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }
