package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// read turns an answer into a snapshot. What counts is the document's own mark,
// not the HTTP status: an unhealthy service answers /health with 503.
func (c *Client) read(resp *http.Response, body []byte) Snapshot {
	if len(body) > maxBody {
		return Snapshot{Failure: &Failure{
			What:   fmt.Sprintf("the answer of %s is larger than %d MiB", c.answered(resp), maxBody>>20),
			Remedy: "that is not dbpool's status: check the URL",
		}}
	}
	var mark struct {
		Service any             `json:"service"`
		Format  json.RawMessage `json:"format"`
		Pool    json.RawMessage `json:"pool"`
		Error   string          `json:"error"`
	}
	err := json.Unmarshal(body, &mark)
	var wrongType *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &wrongType) || mark.Service != statusjson.ServiceName {
		return Snapshot{Failure: c.strangeAnswer(resp, body, err == nil)}
	}
	if mark.Error != "" && len(mark.Pool) == 0 {
		return Snapshot{Failure: &Failure{What: fmt.Sprintf("%s: HTTP %d: %s", c.answered(resp), resp.StatusCode, Sanitize(mark.Error, 200)), Remedy: "check the URL's query"}}
	}
	s, err := decode(body, len(mark.Pool) > 0)
	if err != nil {
		return Snapshot{Failure: &Failure{
			What:   fmt.Sprintf("the document of %s cannot be read: %s", c.answered(resp), Sanitize(err.Error(), 160)),
			Remedy: fmt.Sprintf("the service writes format %s, this dbmonitor reads %d: use the dbmonitor of the same release", Sanitize(orUnknown(string(mark.Format)), 12), statusjson.Format),
		}}
	}
	if f := s.Health.Format; f > statusjson.Format {
		s.Notes = append(s.Notes, fmt.Sprintf("the service writes format %d, this dbmonitor reads %d: a newer dbmonitor shows more", f, statusjson.Format))
	}
	return s
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func decode(body []byte, isStatus bool) (Snapshot, error) {
	if !isStatus {
		var h statusjson.HealthReport
		if err := json.Unmarshal(body, &h); err != nil {
			return Snapshot{}, err
		}
		SanitizeAll(&h)
		return Snapshot{Health: &h}, nil
	}
	var st statusjson.Status
	if err := json.Unmarshal(body, &st); err != nil {
		return Snapshot{}, err
	}
	SanitizeAll(&st)
	if st.Health.Format == 0 {
		st.Health.Format = st.Format
	}
	return Snapshot{Status: &st, Health: &st.Health}, nil
}

// answered is where the answer came from, after redirects.
func (c *Client) answered(resp *http.Response) string { return public(resp.Request.URL) }

// strangeAnswer explains an answer that is not dbpool's.
func (c *Client) strangeAnswer(resp *http.Response, body []byte, isJSON bool) *Failure {
	where, code := c.answered(resp), resp.StatusCode
	switch {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return c.refused(where, resp.Status)
	case code == http.StatusNotFound || code == http.StatusMethodNotAllowed:
		return &Failure{
			What:   fmt.Sprintf("%s: HTTP %d", where, code),
			Remedy: "nothing of dbpool's is served there: mount monitor's PoolStatus() at " + statusPath + ", or give the URL where it is mounted",
		}
	case code >= 300 && code < 400:
		return c.redirected(where, resp)
	case code == http.StatusTooManyRequests:
		return &Failure{What: where + ": HTTP 429, asked too often", Remedy: "use a longer --interval"}
	case code == http.StatusBadRequest && bytes.Contains(body, []byte("HTTP request to an HTTPS server")):
		return &Failure{What: where + " speaks TLS", Remedy: "write https:// instead of http://"}
	case code >= 500:
		return &Failure{
			What:   fmt.Sprintf("%s: HTTP %d, and not from dbpool", where, code),
			Remedy: "the service or the proxy before it fails: look at its log",
		}
	case isJSON:
		return &Failure{What: fmt.Sprintf("%s: HTTP %d with JSON that is not dbpool's", where, code), Remedy: "another service answers there: check host, port and path"}
	case isHTML(resp, body):
		return &Failure{What: fmt.Sprintf("%s: HTTP %d with an HTML page, not dbpool's status", where, code), Remedy: "another server or a login page answers there: check host, port and path"}
	default:
		return &Failure{What: fmt.Sprintf("%s: HTTP %d, but the answer is not dbpool's status", where, code), Remedy: "another server answers there: check host, port and path"}
	}
}

func (c *Client) refused(where, status string) *Failure {
	what := fmt.Sprintf("%s: access refused (HTTP %s)", where, Sanitize(status, 40))
	switch {
	case c.token != "":
		return &Failure{What: what, Remedy: "the token was not accepted: check --token or DBMONITOR_TOKEN"}
	case c.target.base.User != nil:
		return &Failure{What: what, Remedy: "the user and password in the URL were not accepted"}
	default:
		return &Failure{What: what, Remedy: "the status page is guarded: set DBMONITOR_TOKEN (or --token), or ask from the machine it runs on"}
	}
}

func (c *Client) redirected(where string, resp *http.Response) *Failure {
	to := "elsewhere"
	if u, err := resp.Location(); err == nil {
		to = "to " + public(u)
	}
	return &Failure{
		What:   fmt.Sprintf("%s redirects %s (HTTP %d), which is not followed", where, to, resp.StatusCode),
		Remedy: "give the service's own URL; a login page cannot be passed",
	}
}

func isHTML(resp *http.Response, body []byte) bool {
	return strings.Contains(resp.Header.Get("Content-Type"), "html") ||
		bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}
