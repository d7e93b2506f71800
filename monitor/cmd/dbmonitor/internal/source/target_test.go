package source

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		raw, name, status, health string
		custom                    bool
	}{
		{"http://host", "http://host", "http://host/debug/pool-status", "http://host/health", false},
		{"host:8080", "http://host:8080", "http://host:8080/debug/pool-status", "http://host:8080/health", false},
		{"localhost", "http://localhost", "http://localhost/debug/pool-status", "http://localhost/health", false},
		{"[::1]:80", "http://[::1]:80", "http://[::1]:80/debug/pool-status", "http://[::1]:80/health", false},
		{" HTTPS://Host/ ", "https://Host", "https://Host/debug/pool-status", "https://Host/health", false},
		{"http://h/debug/pool-status", "http://h", "http://h/debug/pool-status", "http://h/health", false},
		{"http://h/health/", "http://h", "http://h/debug/pool-status", "http://h/health", false},
		{"http://h/a/b//", "http://h/a/b", "http://h/a/b/debug/pool-status", "http://h/a/b/health", true},
		{"http://h/a/health", "http://h/a", "http://h/a/debug/pool-status", "http://h/a/health", false},
		{"http://h/a?k=v#frag", "http://h/a", "http://h/a/debug/pool-status?k=v", "http://h/a/health?k=v", true},
		{"http://me:s3cret@h:1/", "http://h:1", "http://me:s3cret@h:1/debug/pool-status", "http://me:s3cret@h:1/health", false},
	} {
		target, err := ParseTarget(tt.raw)
		if err != nil {
			t.Errorf("%q: %v", tt.raw, err)
			continue
		}
		if target.Name != tt.name || target.custom != tt.custom {
			t.Errorf("%q: name %q custom %v, want %q %v", tt.raw, target.Name, target.custom, tt.name, tt.custom)
		}
		if got := target.url(statusPath).String(); got != tt.status {
			t.Errorf("%q: status at %q, want %q", tt.raw, got, tt.status)
		}
		if got := target.url(healthPath).String(); got != tt.health {
			t.Errorf("%q: health at %q, want %q", tt.raw, got, tt.health)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for raw, want := range map[string]string{
		"":                               "empty",
		"  ":                             "empty",
		"http://":                        "no host",
		"http://:8080":                   "no host",
		"ftp://me:s3cret@h":              `scheme "ftp"`,
		"postgres://me:s3cret@h/db":      "doctor",
		"http://me:s3cret@h:70000":       "port 70000",
		"http://me:s3cret@h:http":        "port is not a number",
		"http://me:s3cret@h/%zz":         "two hexadecimal digits",
		"http://me:s3cret@h o/":          "none can have",
		"http://me:s3cret@h/\x1b[31mred": "control character",
		"://me:s3cret@h":                 "cannot be read",
	} {
		_, err := ParseTarget(raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", raw, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the error shows the password: %v", raw, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"host:1", "http://u:p@h/x?y#z", "https://[::1%25eth0]/", "http://h/%1b%5b31m", "//h", "a://b://c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := ParseTarget(raw)
		if err != nil {
			if s := err.Error(); s != Sanitize(s, 1000) {
				t.Errorf("%q: error is not fit for a terminal: %q", raw, s)
			}
			return
		}
		if target.Name != Sanitize(target.Name, 300) || strings.Contains(target.Name, "@") && target.base.User != nil && target.base.User.String() != "" && strings.Contains(target.Name, target.base.User.String()+"@") {
			t.Errorf("%q: name %q", raw, target.Name)
		}
		target.url(statusPath)
		target.hostPort()
	})
}
