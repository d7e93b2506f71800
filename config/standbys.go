package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ReadSame is the ReadURL that stands for the standbys among the hosts of DatabaseURL.
const ReadSame = "same"

// target is the keyword that says which of several hosts is wanted.
const target = "target_session_attrs"

// ReadPart is how many of PoolSize + MaxOverflow are for standbys: at least one,
// and at most all but one. 0 without a ReadURL.
func (c Config) ReadPart() int {
	if c.ReadURL == "" {
		return 0
	}
	return max(1, min(c.ReadShare.Of(c.MaxOpen()), c.MaxOpen()-1))
}

// ForStandbys returns the settings of the pool at the standbys, which a pool with
// a ReadURL opens and closes by itself: those of c with ReadPart connections, the
// standbys' hosts, and "-standby" behind the name.
func (c Config) ForStandbys() Config {
	part := c.ReadPart()
	c.ApplicationName = c.ResolvedApplicationName()
	const longest, suffix = 63, "-standby"
	c.Name = c.Name[:min(len(c.Name), longest-len(suffix))] + suffix
	c.PoolSize = max(1, min(part, c.PoolSize*part/max(1, c.MaxOpen())))
	c.MaxOverflow = part - c.PoolSize
	c.MinIdle = 0 // the one that looks whether the standbys are there stays open
	if c.ReadURL != ReadSame {
		c.DatabaseURL = c.ReadURL
	}
	c.DatabaseURL = c.DatabaseURL.without(target).with([]pair{{target, "standby"}})
	c.ReadURL = ""
	return c
}

// withoutTarget is environ without the variable that says which hosts the pool's
// own connections want.
func withoutTarget(environ map[string]string) map[string]string {
	environ = maps.Clone(environ)
	delete(environ, "PGTARGETSESSIONATTRS")
	return environ
}

// reads checks what is set for standbys.
func (k *checker) reads(c Config) {
	k.share("DB_READ_SHARE", c.ReadShare)
	if c.ReadURL == "" {
		return
	}
	if c.ReadURL == ReadSame {
		k.readsFromSame(c.DatabaseURL)
	} else {
		k.readsFrom(c.ReadURL)
	}
	if c.Pooler == PoolerPgBouncer {
		k.refuse("DATABASE_READ_URL", "is set with DB_POOLER=pgbouncer, behind which nobody knows which server answers", "set a URL that leads to the standbys themselves, or take it out")
	}
	total := c.MaxOpen()
	if total == 1 {
		k.refuse("DATABASE_READ_URL", "needs a connection besides the primary's, and DB_POOL_SIZE + DB_MAX_OVERFLOW is 1", "raise DB_MAX_OVERFLOW, or take it out")
		return
	}
	if total > 1 && c.ReadShare.Of(total) >= total {
		k.refuse("DB_READ_SHARE", fmt.Sprintf("%s of %d connections (DB_POOL_SIZE + DB_MAX_OVERFLOW) leaves none for the primary", quote(string(c.ReadShare)), total), "lower it, or raise DB_MAX_OVERFLOW")
	}
}

func (k *checker) readsFrom(d DSN) {
	before := len(k.problems)
	k.dsn("DATABASE_READ_URL", d)
	said, _ := d.settings()
	if attrs := said[target]; len(k.problems) == before && attrs != "" && attrs != "standby" {
		k.refuse("DATABASE_READ_URL", "has target_session_attrs="+attrs+", and only standbys are used", "take target_session_attrs out")
	}
}

// readsFromSame wants to know which of several hosts is the pool's own: with any
// it would take the first, which may be a standby.
func (k *checker) readsFromSame(d DSN) {
	said, err := d.settings()
	if err == nil && strings.Contains(said["host"], ",") && !slices.Contains([]string{"read-write", "primary"}, said[target]) {
		k.refuse("DATABASE_READ_URL", "is same, and DATABASE_URL names several hosts without saying that its own connections lead to the primary", "add target_session_attrs=read-write to DATABASE_URL")
	}
}
