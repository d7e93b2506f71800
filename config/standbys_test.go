package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The pool at the standbys goes to standbys, whatever the connection string and
// the environment say of the pool's own connections, and has its part of them.
func TestForStandbys(t *testing.T) {
	for _, test := range []struct {
		read, own, share string
		size, overflow   int
		hosts            string
		part, partSize   int
	}{
		{"postgres://r1,r2/d?sslmode=disable", "postgres://p/d?sslmode=disable", "50%", 5, 5, "r1 r2", 5, 2},
		{"host=r1 sslmode=disable", "host=p sslmode=disable", "3", 5, 5, "r1", 3, 1},
		{"host=r1 sslmode=disable target_session_attrs=standby", "host=p sslmode=disable", "90%", 1, 1, "r1", 1, 1},
		{"same", "postgres://a,b/d?sslmode=disable&target_session_attrs=read-write", "1%", 4, 0, "a b", 1, 1},
		{"same", "host=a,b sslmode=disable target_session_attrs=primary", "99%", 10, 0, "a b", 9, 9},
		{"same", "host=a sslmode=disable", "9", 9, 1, "a", 9, 8},
	} {
		c, err := From(map[string]string{
			"DATABASE_URL": test.own, "DATABASE_READ_URL": test.read, "DB_READ_SHARE": test.share, "DB_POOL_NAME": strings.Repeat("n", 60),
			"DB_POOL_SIZE": itoa(test.size), "DB_MAX_OVERFLOW": itoa(test.overflow), "DB_MIN_IDLE": "1", "PGUSER": "app",
		})
		if err != nil {
			t.Errorf("%s: %v", test.read, err)
			continue
		}
		s := c.ForStandbys()
		if err := s.Validate(); err != nil || s.ReadURL != "" {
			t.Errorf("%s: %v, %v", test.read, s, err)
		}
		if c.ReadPart() != test.part || s.MaxOpen() != test.part || s.PoolSize != test.partSize || s.MinIdle != 0 {
			t.Errorf("%s: %d + %d of %d + %d, want %d with %d kept", test.read, s.PoolSize, s.MaxOverflow, test.size, test.overflow, test.part, test.partSize)
		}
		if len(s.Name) != 63 || !strings.HasSuffix(s.Name, "-standby") || s.ApplicationName != c.Name {
			t.Errorf("%s: %s, %s", test.read, s.Name, s.ApplicationName)
		}
		cc, err := pgx.ParseConfig(string(s.DatabaseURL))
		if err != nil || cc.ValidateConnect == nil || cc.User != "app" {
			t.Fatalf("%s: %v, %v", test.read, cc, err)
		}
		hosts := []string{cc.Host}
		for _, f := range cc.Fallbacks {
			hosts = append(hosts, f.Host)
		}
		if got := strings.Join(slices.Compact(hosts), " "); got != test.hosts {
			t.Errorf("%s: leads to %s, want %s", test.read, got, test.hosts)
		}
		if said, _ := s.DatabaseURL.settings(); said[target] != "standby" {
			t.Errorf("%s: wants %s", test.read, said[target])
		}
	}
}

func itoa(n int) string { return bareNumber(time.Duration(n)*time.Second, "seconds") }

// Without a read URL nothing of the rest matters, and the service's variable for
// its own connections says nothing of the standbys.
func TestReadsAreAskedFor(t *testing.T) {
	c, err := From(with("DB_POOL_SIZE", "1", "DB_MAX_OVERFLOW", "0", "DB_READ_SHARE", "100%"))
	if err != nil || c.ReadPart() != 0 {
		t.Errorf("%d, %v", c.ReadPart(), err)
	}
	c, err = From(with("DATABASE_READ_URL", "host=r", "PGTARGETSESSIONATTRS", "read-write", "PGUSER", "app"))
	if err != nil || c.ReadURL != "user='app' host=r" {
		t.Errorf("%q, %v", string(c.ReadURL), err)
	}
	if c.ReadURL = ReadSame; c.ReadURL.String() != "same" {
		t.Errorf("shown as %s", c.ReadURL)
	}
	c.ReadURL = "host=r keepalives=1"
	if w := c.Warnings(); len(w) != 1 || w[0].Variable != "DATABASE_READ_URL" {
		t.Errorf("%v", w)
	}
	if m := c.ForMigrations(); m.ReadURL != "" {
		t.Error("a migration has no use for standbys")
	}
}

func TestReadsRefused(t *testing.T) {
	for _, test := range []struct {
		environ map[string]string
		want    string
	}{
		{with("DATABASE_READ_URL", "host=r", "DB_POOL_SIZE", "1", "DB_MAX_OVERFLOW", "0"),
			"DATABASE_READ_URL: needs a connection besides the primary's, and DB_POOL_SIZE + DB_MAX_OVERFLOW is 1; raise DB_MAX_OVERFLOW, or take it out"},
		{with("DATABASE_READ_URL", "host=r target_session_attrs=prefer-standby"),
			"DATABASE_READ_URL: has target_session_attrs=prefer-standby, and only standbys are used; take target_session_attrs out"},
		{with("DATABASE_READ_URL", "host=r target_session_attrs=none"),
			"DATABASE_READ_URL: has an unknown target_session_attrs; use any, read-write, read-only, primary, standby or prefer-standby"},
		{with("DATABASE_READ_URL", "r:5432"),
			"DATABASE_READ_URL: is neither a postgres:// URL nor keyword=value pairs; " + writeDSN},
		{with("DATABASE_READ_URL", "host=r", "DB_POOLER", "pgbouncer"),
			"DATABASE_READ_URL: is set with DB_POOLER=pgbouncer, behind which nobody knows which server answers; set a URL that leads to the standbys themselves, or take it out"},
		{with("DATABASE_READ_URL", "same", "DATABASE_URL", "host=a,b"),
			"DATABASE_READ_URL: is same, and DATABASE_URL names several hosts without saying that its own connections lead to the primary; add target_session_attrs=read-write to DATABASE_URL"},
		{with("DATABASE_READ_URL", "host=r sslrootcert=/nowhere"),
			"DATABASE_READ_URL: names a file for sslrootcert that cannot be read; put the file there, readable for this process, or name another"},
		{with("DATABASE_READ_URL", "host=r", "DB_READ_SHARE", "100%"),
			`DB_READ_SHARE: "100%" of 10 connections (DB_POOL_SIZE + DB_MAX_OVERFLOW) leaves none for the primary; lower it, or raise DB_MAX_OVERFLOW`},
		{with("DATABASE_READ_URL", "host=r", "DB_READ_SHARE", "10"),
			`DB_READ_SHARE: "10" of 10 connections (DB_POOL_SIZE + DB_MAX_OVERFLOW) leaves none for the primary; lower it, or raise DB_MAX_OVERFLOW`},
		{with("DB_READ_SHARE", "half"),
			`DB_READ_SHARE: "half" is neither a number of connections nor a percentage; set 40 or 50%, say, or nothing for all of it`},
		{with("DB_READ_WAIT", "-1"),
			"DB_READ_WAIT: -1s is negative; set 0 or more"},
	} {
		_, err := From(test.environ)
		if got := problemsOf(t, err); len(got) != 1 || got[0].String() != test.want {
			t.Errorf("got  %v\nwant %s", got, test.want)
		}
	}
}
