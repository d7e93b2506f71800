package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// account is the user a server runs as.
type account struct {
	name     string
	uid, gid int
	other    bool // someone else than this process's user
}

// serverAccount is this process's own user; for root, whom PostgreSQL and
// PgBouncer refuse, it is postgres or else nobody.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{name: "this user", uid: os.Getuid(), gid: os.Getgid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return account{}, err
		}
		return account{name: name, uid: uid, gid: gid, other: true}, nil
	}
	return account{}, errors.New("running as root, and there is no user postgres or nobody to run a server as")
}

// command prepares a child of this account that dies with this process, in a
// session of its own so that a terminal's Ctrl-C does not reach it before us.
func (a account) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = string(filepath.Separator)
	cmd.Env = a.environ()
	cmd.SysProcAttr = a.attributes()
	return cmd
}

// environ is ours without what would steer PostgreSQL (PGDATA, PGPORT, …), and
// in the one language in which logs are searched.
func (a account) environ() []string {
	env := []string{"LC_ALL=C"}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LANG") {
			env = append(env, kv)
		}
	}
	return env
}

// makeDir makes a private folder that the account owns.
func (a account) makeDir(pattern string) (string, error) {
	parent, err := a.tempRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, pattern)
	if err != nil || !a.other {
		return dir, err
	}
	if err := os.Chown(dir, a.uid, a.gid); err != nil {
		return "", errors.Join(err, os.Remove(dir))
	}
	return dir, nil
}

// tempRoot is the usual temporary folder, or one that the account can use:
// root's TMPDIR is often closed to others, as t.TempDir() is.
func (a account) tempRoot() (string, error) {
	if !a.other {
		return os.TempDir(), nil
	}
	for _, dir := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if openToOthers(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no temporary folder that the user %s can write to: set TMPDIR", a.name)
}

// openToOthers reports whether any user may make folders in dir: its last part
// must be writable and every part above must let them through.
func openToOthers(dir string) bool {
	need := os.FileMode(0o003)
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&need != need {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir, need = filepath.Dir(dir), 0o001
	}
}

// give hands a file that we wrote to the account.
func (a account) give(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}
