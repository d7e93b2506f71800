package main

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/dbpool-go/dbpool/config"
)

const description = `Watch services that use dbpool.

  dbmonitor http://your-server                one report
  dbmonitor http://your-server --continuous   live view on a terminal, a report every 10s elsewhere
  dbmonitor http://a http://b --continuous    several services side by side
  dbmonitor http://your-server --json         one JSON object per report, on one line
  dbmonitor doctor DATABASE_URL               does the fleet fit the database?

Exit codes:
  0  healthy      nothing to do
  1  warning      the service calls itself degraded: usage above its threshold, leaks, callers turned away,
                  the server nearly full or refusing new connections while there are some left
  2  critical     the service calls itself unhealthy: the database cannot be used, or the pool is stuck or closed
  3  unreachable  no answer, or not from a service with dbpool
  64 wrong command line, 74 output cannot be written, 130 interrupted before the first report
Several services: the worst counts. With --continuous: the last report's code, on Ctrl-C or SIGTERM.
Note that "go run" turns every code but 0 into 1; build the command for scripts.

Environment: DBMONITOR_TOKEN (as --token, and not visible to other users), NO_COLOR, SSL_CERT_FILE.`

// watchCmd reports on services. Its flags may stand before and after the URLs.
type watchCmd struct {
	URLs       []string `arg:"" name:"url" help:"The service, such as http://localhost:8080: also host:port, a path prefix, or the address of /health or /debug/pool-status."`
	Continuous bool     `short:"c" help:"Repeat until interrupted, marking what changed; on a terminal a live view."`
	Interval   span     `short:"i" placeholder:"SECONDS" help:"Time between two reports: seconds, or a duration such as 500ms. Default 10s, in the live view 2s."`
	JSON       bool     `name:"json" help:"Print JSON, one object on one line per report and service."`
	Plain      bool     `help:"Print plain lines on a terminal too."`
	Timeout    span     `default:"5" placeholder:"SECONDS" help:"How long to wait for an answer. Default 5s."`
	Token      string   `placeholder:"TOKEN" help:"Sent as 'Authorization: Bearer TOKEN', for a guarded status page. Better set DBMONITOR_TOKEN."`
}

// span is a positive duration; a bare number is in seconds.
type span time.Duration

// UnmarshalText reads "10", "0.5" and "500ms".
func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		d, err = time.ParseDuration(string(text) + "s")
	}
	switch {
	case err != nil:
		return errors.New("want seconds or a duration, such as 10 or 500ms, not " + strconv.Quote(string(text)))
	case d < 100*time.Millisecond || d > 24*time.Hour:
		return errors.New("want between 100ms and 24h, not " + strconv.Quote(string(text)))
	}
	*s = span(d)
	return nil
}

// parse reads a command line into cmd. done is true when it asked for help or
// the version, which is then printed.
func parse(cmd any, name, about string, args []string, stdout, stderr io.Writer) (done bool, err error) {
	grammar := struct {
		Cmd     any              `embed:""`
		Version kong.VersionFlag `help:"Print the version and exit."`
	}{Cmd: cmd}
	parser, err := kong.New(&grammar,
		kong.Name(name),
		kong.Description(about),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { done = true }),
		kong.Vars{"version": version()},
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 110}),
	)
	if err != nil {
		return false, err
	}
	_, err = parser.Parse(flagsFirst(args, parser.Model.Flags))
	return done, withoutSecrets(err, args)
}

// withoutSecrets takes out of an error the arguments that it repeats and that
// may hold a password.
func withoutSecrets(err error, args []string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, arg := range args {
		if strings.ContainsAny(arg, "@=") && !strings.HasPrefix(arg, "-") {
			text = strings.ReplaceAll(text, arg, config.DSN(arg).Redacted())
		}
	}
	return errors.New(text)
}

// flagsFirst moves the flags before everything else. Kong takes several URLs
// only in one piece; people put flags between them.
func flagsFirst(args []string, known []*kong.Flag) []string {
	var flags, rest []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return slices.Concat(flags, []string{"--"}, rest, args[i+1:])
		case len(arg) < 2 || arg[0] != '-':
			rest = append(rest, arg)
		case wantsValue(arg, known) && i+1 < len(args):
			i++
			flags = append(flags, arg, args[i])
		default:
			flags = append(flags, arg)
		}
	}
	return slices.Concat(flags, rest)
}

// wantsValue reports whether the next argument is arg's value.
func wantsValue(arg string, known []*kong.Flag) bool {
	if name, long := strings.CutPrefix(arg, "--"); long {
		return slices.ContainsFunc(known, func(f *kong.Flag) bool { return f.Name == name && !f.IsBool() })
	}
	for i, short := range arg[1:] {
		if slices.ContainsFunc(known, func(f *kong.Flag) bool { return f.Short == short && !f.IsBool() }) {
			return i == len(arg)-2 // otherwise it is attached, as in -i5
		}
	}
	return false
}
