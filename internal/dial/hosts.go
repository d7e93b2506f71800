package dial

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/hostname"
)

// hosts turns the hosts of a connection string into addresses to try, and
// remembers which of them was silent lately.
type hosts struct {
	silent atomic.Pointer[silentAddress]
}

// silentAddress did not answer, neither yes nor no.
type silentAddress struct {
	address string
	until   time.Time
}

// silenceKept is how long an address that was silent is tried last. Trying it
// first would take its share of the time of every dial.
const silenceKept = 30 * time.Second

// isSilent notes that an address took all its time to say nothing.
func (h *hosts) isSilent(address string) {
	h.silent.Store(&silentAddress{address, time.Now().Add(silenceKept)})
}

// spread resolves the hosts of cc and shares the time evenly among their
// addresses: pgx tries one after the other, and without a share the first one
// that does not answer takes all the time there is.
func (h *hosts) spread(ctx context.Context, cc *pgx.ConnConfig, timeout time.Duration) error {
	all, err := resolve(ctx, cc)
	if len(all) == 0 {
		return err
	}
	all = h.sorted(all)
	cc.Host, cc.Port, cc.TLSConfig, cc.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]
	cc.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	if n := countAddresses(all); n > 1 {
		cc.ConnectTimeout = timeout / time.Duration(n)
	}
	return nil
}

// sorted puts the address that was silent lately last, in all its TLS variants.
func (h *hosts) sorted(all []*pgconn.FallbackConfig) []*pgconn.FallbackConfig {
	s := h.silent.Load()
	if s == nil || time.Now().After(s.until) {
		return all
	}
	var first, last []*pgconn.FallbackConfig
	for _, c := range all {
		if addressOf(c) == s.address {
			last = append(last, c)
		} else {
			first = append(first, c)
		}
	}
	return append(first, last...)
}

func addressOf(c *pgconn.FallbackConfig) string {
	_, address := pgconn.NetworkAddress(c.Host, c.Port)
	return address
}

func countAddresses(all []*pgconn.FallbackConfig) int {
	distinct := map[string]bool{}
	for _, c := range all {
		distinct[addressOf(c)] = true
	}
	return len(distinct)
}

// resolve looks the hosts of cc up. A host that cannot be resolved only counts
// when there is no other.
func resolve(ctx context.Context, cc *pgx.ConnConfig) (all []*pgconn.FallbackConfig, err error) {
	first := &pgconn.FallbackConfig{Host: cc.Host, Port: cc.Port, TLSConfig: cc.TLSConfig}
	known := map[string][]string{}
	var errs []error
	for _, c := range append([]*pgconn.FallbackConfig{first}, cc.Fallbacks...) {
		addresses, ok := known[c.Host]
		if !ok {
			addresses, err = lookUp(ctx, cc, c.Host)
			known[c.Host], errs = addresses, append(errs, err)
		}
		for _, a := range addresses {
			host, port := splitPort(a, c.Port)
			all = append(all, &pgconn.FallbackConfig{Host: host, Port: port, TLSConfig: c.TLSConfig})
		}
	}
	return all, errors.Join(errs...)
}

// errNoHost does not quote what it is about: a resolver would.
var errNoHost = errors.New("a host of the connection string is not the name of one, nor an address (not shown: it may hold a part of the password)")

func lookUp(ctx context.Context, cc *pgx.ConnConfig, host string) ([]string, error) {
	if !hostname.Valid(host) {
		return nil, errNoHost
	}
	if strings.HasPrefix(host, "/") {
		return []string{host}, nil // a unix socket
	}
	return cc.LookupFunc(ctx, host)
}

// splitPort splits an address that a LookupFunc has given a port of its own.
func splitPort(address string, port uint16) (string, uint16) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return address, port
	}
	if n, err := strconv.ParseUint(text, 10, 16); err == nil {
		port = uint16(n)
	}
	return host, port
}
