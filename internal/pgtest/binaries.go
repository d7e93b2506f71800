package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// binaries is a folder that holds postgres and initdb.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// MissingError says that PostgreSQL, or the version asked for, is not on this
// machine, and what was looked at.
type MissingError struct {
	Version int      // 0 when any version would have done
	Looked  []string // folders that were looked at, with what was wrong with each
}

func (e *MissingError) Error() string {
	what := "PostgreSQL"
	if e.Version > 0 {
		what += " " + strconv.Itoa(e.Version)
	}
	return fmt.Sprintf("no %s server on this machine: run scripts/install.sh, or set DBPOOL_PG_BIN to the folder of initdb and postgres (looked at: %s)",
		what, strings.Join(e.Looked, ", "))
}

// optional: a test may do without a version it named, never without any server.
func (e *MissingError) optional() bool { return e.Version > 0 }

func chooseBinaries(opts Options, who account) (binaries, error) {
	if opts.Bin == "" {
		return findBinaries(opts.Version, who)
	}
	b, err := inspect(opts.Bin, who)
	if err != nil {
		return b, fmt.Errorf("%s: %w", opts.Bin, err)
	}
	return b, nil
}

// FindBin returns the folder of initdb and postgres that a Server of this
// version (0: any) would use.
func FindBin(version int) (string, error) {
	who, err := serverAccount()
	if err != nil {
		return "", err
	}
	b, err := findBinaries(version, who)
	return b.dir, err
}

// findBinaries returns the first usable folder for a version (0: any) that the
// server's account can reach.
func findBinaries(version int, who account) (binaries, error) {
	missing := &MissingError{Version: version}
	for _, dir := range candidates(version) {
		b, err := inspect(dir, who)
		switch {
		case err != nil:
			missing.Looked = append(missing.Looked, dir+": "+err.Error())
		case version != 0 && b.major != version:
			missing.Looked = append(missing.Looked, fmt.Sprintf("%s: version %d", dir, b.major))
		default:
			return b, nil
		}
	}
	return binaries{}, missing
}

// candidates lists folders that may hold a server: what the user named first,
// the system's next, what scripts/install.sh put into the cache last.
func candidates(version int) []string {
	var dirs []string
	if version > 0 {
		dirs = append(dirs, os.Getenv("DBPOOL_PG"+strconv.Itoa(version)+"_BIN"))
	}
	dirs = append(dirs, os.Getenv("DBPOOL_PG_BIN"), besideCommand("postgres"), fromPgConfig())
	for _, pattern := range packagers(runtime.GOOS) {
		dirs = append(dirs, newestFirst(pattern)...)
	}
	if cache, err := CacheDir(); err == nil {
		dirs = append(dirs, newestFirst(filepath.Join(cache, "pg*/bin"))...)
	}
	dirs = append(dirs, newestFirst(filepath.Join(rootsCache, "pg*/bin"))...)
	return unique(dirs)
}

// rootsCache is open to the user that root's servers run as, unlike root's home.
const rootsCache = "/var/cache/dbpool"

// CacheDir is where server binaries that were fetched are kept, as pg18/bin or
// the like: by scripts/install.sh, or by a program. It need not exist.
func CacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return rootsCache, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "dbpool"), err
}

// packagers are the folders that distributions and installers use.
func packagers(goos string) []string {
	if goos == "darwin" {
		return []string{
			"/opt/homebrew/opt/postgresql*/bin",
			"/usr/local/opt/postgresql*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
			"/opt/local/lib/postgresql*/bin",
			"/Library/PostgreSQL/*/bin",
		}
	}
	return []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/usr/libexec/postgresql*",
		"/usr/local/pgsql/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
	}
}

// newestFirst expands a pattern; the highest version number comes first.
func newestFirst(pattern string) []string {
	found, _ := filepath.Glob(pattern) // the only error is a bad pattern, and these are ours
	slices.SortStableFunc(found, func(a, b string) int { return lastNumber(b) - lastNumber(a) })
	return found
}

var digits = regexp.MustCompile(`\d+`)

// lastNumber is the version in a folder's name: the 15 of /usr/lib64/pgsql-15/bin.
func lastNumber(s string) int {
	all := digits.FindAllString(s, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1]) // too long to be a version: sorts last
	return n
}

// besideCommand follows symbolic links, because postgres finds its libraries
// and initdb relative to where it really is.
func besideCommand(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return filepath.Dir(path)
}

func fromPgConfig() string {
	out, err := exec.Command("pg_config", "--bindir").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func unique(dirs []string) []string {
	var out []string
	for _, d := range dirs {
		if d != "" && !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

// inspect asks the binaries in dir for their version, as the account that will
// run them: a folder below root's home is useless to the user postgres.
func inspect(dir string, who account) (binaries, error) {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return binaries{}, fmt.Errorf("no %s", name)
		}
	}
	out, err := runCommand(who.command(filepath.Join(dir, "postgres"), "--version"))
	if err != nil {
		return binaries{}, fmt.Errorf("does not run as %s: %w %s", who.name, err, firstLine(out))
	}
	major, _ := strconv.Atoi(digits.FindString(string(out))) // 0 when there is no number
	if major < oldest {
		return binaries{}, fmt.Errorf("%q is not PostgreSQL %d or newer", firstLine(out), oldest)
	}
	return binaries{dir: dir, major: major}, nil
}

// oldest is the first version that takes the options we use.
const oldest = 13

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line
}
