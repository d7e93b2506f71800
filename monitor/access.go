package monitor

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard decides who may see /debug/pool-status. The zero value lets everybody in.
type guard struct {
	tokens   [][sha256.Size]byte
	empty    bool // an empty token was given: nobody comes in
	loopback bool
}

// hashToken makes all tokens equally long, so that comparing takes equally long.
func hashToken(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// wrap puts the guard in front of next.
func (g guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.loopback && !isLocal(r) {
			refuse(w, http.StatusForbidden)
			return
		}
		if len(g.tokens) > 0 && !g.knows(r) {
			w.Header().Add("WWW-Authenticate", `Basic realm="pool status", charset="UTF-8"`)
			w.Header().Add("WWW-Authenticate", `Bearer realm="pool status"`)
			refuse(w, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, code int) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(code), code)
}

// knows compares the request's token with every one, without stopping early.
func (g guard) knows(r *http.Request) bool {
	given, ok := presented(r)
	if !ok || given == "" || g.empty {
		return false
	}
	hash, found := hashToken(given), 0
	for _, t := range g.tokens {
		found |= subtle.ConstantTimeCompare(hash[:], t[:])
	}
	return found == 1
}

// presented returns the token of a request.
func presented(r *http.Request) (string, bool) {
	if _, password, ok := r.BasicAuth(); ok {
		return password, true
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// isLocal reports whether the request comes from this host, directly, and names
// this host.
func isLocal(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return fromLoopback(r) && namesLoopback(r.Host)
}

func fromLoopback(r *http.Request) bool {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && at.Network() == "unix" {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// namesLoopback looks at the Host header: a web page that reaches this host by a
// name of its own, rebound to 127.0.0.1, still sends that name.
func namesLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if host == "" || strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
