// Package source asks a service that uses dbpool for its status, and says in
// one line what is wrong when there is no answer.
package source

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Where a service that follows the README answers.
const (
	statusPath = "/debug/pool-status"
	healthPath = "/health"
)

// Target is one service to watch. It is a plain value.
type Target struct {
	// Name is how the target is printed: scheme, host and prefix. It never
	// holds what may be secret: no user name, no password, no query.
	Name string

	base   url.URL // as given, without the endings we know; may hold a user and a password
	custom bool    // a path of its own was given: the document may be served right there
}

// ParseTarget reads a service's address as people write it: "host:8080",
// "http://host/prefix/", or the address of either endpoint.
func ParseTarget(raw string) (Target, error) {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return Target{}, errors.New("the URL is empty; write for example http://localhost:8080")
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		// url.Error repeats the address, which may hold a password.
		return Target{}, fmt.Errorf("not a URL: %s; write for example http://localhost:8080", cause(err))
	}
	if err := checkURL(u); err != nil {
		return Target{}, err
	}
	t := Target{base: *u}
	t.base.Scheme = strings.ToLower(u.Scheme)
	t.base.Fragment, t.base.RawFragment = "", ""
	t.base.RawPath = ""
	t.base.Path, t.custom = trimEndpoint(u.Path)
	t.Name = public(&t.base)
	return t, nil
}

// cause drops the parts of a url.Error that repeat the URL.
func cause(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var esc url.EscapeError
	var host url.InvalidHostError
	switch {
	case errors.As(err, &esc):
		return "a % is not followed by two hexadecimal digits"
	case errors.As(err, &host):
		return "the host name holds characters that none can have"
	case strings.Contains(err.Error(), "port"):
		return "the port is not a number"
	case strings.Contains(err.Error(), "control character"):
		return "it holds a control character"
	default:
		return "it cannot be read"
	}
}

func checkURL(u *url.URL) error {
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
	case "postgres", "postgresql":
		return errors.New("that is a database, not a service; use: dbmonitor doctor DATABASE_URL")
	default:
		return fmt.Errorf("scheme %q is not supported; use http:// or https://", Sanitize(u.Scheme, 20))
	}
	if u.Hostname() == "" {
		return errors.New("the URL has no host; write for example http://localhost:8080")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("port %s does not exist; ports are 1 to 65535", p)
		}
	}
	return nil
}

// trimEndpoint cuts the endpoint off a path and reports whether something else is left.
func trimEndpoint(path string) (string, bool) {
	path = strings.TrimRight(path, "/")
	for _, end := range []string{statusPath, healthPath} {
		if p, ok := strings.CutSuffix(path, end); ok {
			return strings.TrimRight(p, "/"), false
		}
	}
	return path, path != ""
}

// public is a URL fit to print: no user, no query.
func public(u *url.URL) string {
	p := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return Sanitize(p.String(), 200)
}

func (t Target) url(path string) *url.URL {
	u := t.base
	u.Path += path
	if u.Path == "" {
		u.Path = "/"
	}
	return &u
}

// hostPort is the address that is dialed.
func (t Target) hostPort() string {
	port := t.base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[t.base.Scheme]
	}
	return Sanitize(net.JoinHostPort(t.base.Hostname(), port), 200)
}
