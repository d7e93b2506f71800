package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxBody is the largest document that is read. A status with all its history
// is well under 1 MiB.
const maxBody = 8 << 20

// Client asks one service. Not for concurrent use; several clients are independent.
type Client struct {
	target  Target
	token   string
	timeout time.Duration
	http    *http.Client

	useCustom bool // the document was found at the very address that was given
}

// NewClient returns a client of target. A token is sent as a bearer token, and
// only to target's own host. timeout bounds one whole Fetch. Close it.
func NewClient(target Target, token string, timeout time.Duration) *Client {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxResponseHeaderBytes = 64 << 10
	c := NewClientWith(target, tr, timeout)
	c.token = token
	return c
}

// NewClientWith returns a client of target that asks through rt, such as one
// that answers without a network.
func NewClientWith(target Target, rt http.RoundTripper, timeout time.Duration) *Client {
	return &Client{target: target, timeout: timeout, http: &http.Client{Transport: rt, CheckRedirect: stayHome}}
}

// Target is what the client asks.
func (c *Client) Target() Target { return c.target }

// Close lets go of kept connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// stayHome follows redirects within one host, never to a weaker scheme. Others
// lead to a login page, and must not see the token.
func stayHome(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	weaker := from.Scheme == "https" && req.URL.Scheme != "https"
	if len(via) >= 5 || weaker || req.URL.Hostname() != from.Hostname() {
		return http.ErrUseLastResponse
	}
	return nil
}

// Fetch asks the service once. history asks for the figures of the last minutes
// too: 0 for all of them, then what History.Next said; negative for none.
func (c *Client) Fetch(ctx context.Context, history int64) Snapshot {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	begin := time.Now()
	s := c.fetch(ctx, history)
	s.Target, s.At, s.Took = c.target.Name, begin, time.Since(begin)
	return s
}

func (c *Client) fetch(ctx context.Context, history int64) Snapshot {
	paths := []string{statusPath}
	if c.target.custom {
		paths = []string{statusPath, ""}
	}
	if c.useCustom {
		paths = []string{"", statusPath}
	}
	var first *Failure
	for _, path := range paths {
		s, stop := c.ask(ctx, path, history)
		if s.Failure == nil {
			c.useCustom = path == ""
			return s
		}
		if first == nil {
			first = s.Failure
		}
		if stop {
			break
		}
	}
	return c.fallBack(ctx, first)
}

// fallBack asks /health, which stays open where the status page is guarded.
func (c *Client) fallBack(ctx context.Context, why *Failure) Snapshot {
	if ctx.Err() != nil {
		return Snapshot{Failure: why}
	}
	s, _ := c.ask(ctx, healthPath, -1)
	if s.Failure != nil {
		return Snapshot{Failure: why}
	}
	s.Notes = append(s.Notes, "only /health could be had: "+why.Error())
	return s
}

// ask gets one document. stop is true when asking elsewhere on the same host is in vain.
func (c *Client) ask(ctx context.Context, path string, history int64) (s Snapshot, stop bool) {
	u := c.target.url(path)
	if history >= 0 {
		q := u.Query()
		q.Set("history", fmt.Sprint(history))
		u.RawQuery = q.Encode()
	}
	resp, err := c.get(ctx, u)
	if err != nil {
		return Snapshot{Failure: c.transportFailure(err)}, true
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return Snapshot{Failure: c.transportFailure(err)}, true
	}
	return c.read(resp, body), false
}

func (c *Client) get(ctx context.Context, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "dbmonitor")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if resp != nil && err != nil {
		err = errors.Join(err, resp.Body.Close())
	}
	return resp, err
}

// validToken reports whether a token can travel in a header.
func validToken(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r < '!' || r > '~' })
}

// CheckToken refuses a token that no header can carry, without repeating it.
func CheckToken(token string) error {
	if validToken(token) {
		return nil
	}
	return errors.New("the token holds spaces, line ends or characters outside ASCII; check how it was pasted")
}
