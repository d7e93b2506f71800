package config

import (
	"testing"
	"time"
)

func TestTimeoutsOfTheConnectionString(t *testing.T) {
	tests := []struct {
		name               string
		environ            map[string]string
		connect, statement time.Duration
	}{
		{"silent", with(), 10 * time.Second, 30 * time.Second},
		{"in the string", with("DATABASE_URL", "host=db connect_timeout=3 statement_timeout=5s"), 3 * time.Second, 5 * time.Second},
		{"in the URL", with("DATABASE_URL", "postgres://db?connect_timeout=3&statement_timeout=250"), 3 * time.Second, 250 * time.Millisecond},
		{"in libpq's variables", with("PGCONNECT_TIMEOUT", "3", "PGOPTIONS", "-c geqo=off -c statement_timeout=1min"), 3 * time.Second, time.Minute},
		{"own variables first", with("DATABASE_URL", "host=db connect_timeout=3 statement_timeout=5s",
			"DB_CONNECT_TIMEOUT", "4", "DB_STATEMENT_TIMEOUT", "6"), 4 * time.Second, 6 * time.Millisecond},
		{"even at the preset's value", with("DATABASE_URL", "host=db connect_timeout=3 statement_timeout=5s",
			"DB_CONNECT_TIMEOUT", "10", "DB_STATEMENT_TIMEOUT", "30000"), 10 * time.Second, 30 * time.Second},
		{"for ever", with("DATABASE_URL", "host=db connect_timeout=0 statement_timeout=0"), 10 * time.Second, 0},
		{"the setting before the options", with("DATABASE_URL", "host=db statement_timeout=5s options='-c statement_timeout=6s'"), 10 * time.Second, 5 * time.Second},
	}
	for _, test := range tests {
		c, err := From(test.environ)
		if err != nil || c.ConnectTimeout != test.connect || c.StatementTimeout != test.statement {
			t.Errorf("%s: got %v and %v, %v", test.name, c.ConnectTimeout, c.StatementTimeout, err)
		}
	}
}

// What the server makes of the same texts: SET statement_timeout = '…'.
func TestParseServerTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "5000": 5 * time.Second, " 5000 ": 5 * time.Second, "5s": 5 * time.Second, "5 s": 5 * time.Second,
		"1.5s": 1500 * time.Millisecond, "2min": 2 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour,
		"1500us": 2 * time.Millisecond, "0.4ms": 0, "2147483647": 2147483647 * time.Millisecond,
	} {
		if got, ok := parseServerTime(text); !ok || got != want {
			t.Errorf("%q: got %v, %t, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "s", "-1", "5S", "5sec", "5 m", "1e3", "NaN", "2147483648", "25d", "5s5"} {
		if got, ok := parseServerTime(text); ok {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestOption(t *testing.T) {
	for options, want := range map[string]string{
		"": "", "-c": "", "-c statement_timeout": "", "statement_timeout=5": "",
		"-c statement_timeout=5s":                        "5s",
		"-cstatement_timeout=5s":                         "5s",
		"--statement-timeout=5s":                         "5s",
		"--Statement_Timeout=5s":                         "5s",
		`-c statement_timeout=5\ s`:                      "5 s",
		"-c statement_timeout=5s -c statement_timeout=6": "6",
		"-c search_path=x   -c  statement_timeout=5s":    "5s",
	} {
		if got := option(options, "statement_timeout"); got != want {
			t.Errorf("%q: got %q, want %q", options, got, want)
		}
	}
}
