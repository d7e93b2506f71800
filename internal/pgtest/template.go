package pgtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// template is a data folder fresh from initdb, to be copied: initdb takes ten
// times as long as the copy. Its guard removes it when this process ends.
type template struct {
	guard    *guard
	dir      string
	password string
}

// templates holds one per folder of binaries. It is the process's, like the
// processes it saves.
var templates struct {
	mu    sync.Mutex
	byBin map[string]*template
}

func templateFor(bin binaries, who account) (*template, error) {
	templates.mu.Lock()
	defer templates.mu.Unlock()
	if t, ok := templates.byBin[bin.dir]; ok {
		return t, nil
	}
	t, err := newTemplate(bin, who)
	if err != nil {
		return nil, err
	}
	if templates.byBin == nil {
		templates.byBin = map[string]*template{}
	}
	templates.byBin[bin.dir] = t
	return t, nil
}

func newTemplate(bin binaries, who account) (*template, error) {
	g, dir, err := newGuard(who)
	if err != nil {
		return nil, err
	}
	t := &template{guard: g, dir: filepath.Join(dir, "data"), password: rand.Text()}
	if err := t.initdb(bin, who, filepath.Join(dir, "password")); err != nil {
		g.close()
		return nil, err
	}
	return t, nil
}

func (t *template) initdb(bin binaries, who account, pwfile string) error {
	if err := os.WriteFile(pwfile, []byte(t.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := who.give(pwfile); err != nil {
		return err
	}
	cmd := who.command(bin.path("initdb"), "-D", t.dir, "-U", Superuser, "--pwfile", pwfile,
		"--auth", string(AuthSCRAM), "-E", "UTF8", "--locale", "C", "--no-sync", "--wal-segsize", "1")
	if out, err := runCommand(cmd); err != nil {
		return fmt.Errorf("initdb as %s: %w\n%s", who.name, err, out)
	}
	return os.Remove(pwfile)
}

// copyTo copies with the account's own rights, so that it owns the copy.
func (t *template) copyTo(dir string, who account) error {
	out, err := runCommand(who.command("cp", "-a", t.dir, dir))
	if err != nil {
		return fmt.Errorf("copy of the template: %w %s", err, out)
	}
	return nil
}

func (c *cluster) confPath() string { return filepath.Join(c.data(), "postgresql.conf") }

// writeConf puts the settings behind what initdb wrote: the last one wins.
func (c *cluster) writeConf(base string) error {
	settings := map[string]string{
		// A test server's data need not survive the machine. It must survive
		// Kill: synchronous_commit stays on.
		"fsync": "off", "full_page_writes": "off",
		"shared_buffers": "32MB", "max_wal_size": "256MB",
		// Nothing outside the folder, so that a crash leaves nothing.
		"dynamic_shared_memory_type": "mmap",
		"timezone":                   "UTC", "log_timezone": "UTC", "lc_messages": "C",
	}
	maps.Copy(settings, c.opts.Settings)
	addresses, sockets := host, ""
	if c.opts.Everywhere {
		addresses, sockets = host+",::1", c.dir
	}
	maps.Copy(settings, map[string]string{
		"listen_addresses": addresses, "port": strconv.Itoa(c.port), "unix_socket_directories": sockets,
	})
	var b strings.Builder
	b.WriteString(base)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "\n%s = '%s'", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	b.WriteString("\n")
	return os.WriteFile(c.confPath(), []byte(b.String()), 0o600)
}

func (c *cluster) writeHBA() error {
	auth := c.opts.Auth
	switch auth {
	case "":
		auth = AuthTrust
	case AuthTrust, AuthSCRAM:
	default:
		return errors.New("unknown Auth " + string(auth))
	}
	lines := fmt.Sprintf("host all all 127.0.0.1/32 %s\nhost replication all 127.0.0.1/32 %s\n", auth, auth)
	if c.opts.Everywhere {
		lines += fmt.Sprintf("host all all ::1/128 %s\nlocal all all %s\n", auth, auth)
	}
	return os.WriteFile(filepath.Join(c.data(), "pg_hba.conf"), []byte(lines), 0o600)
}
