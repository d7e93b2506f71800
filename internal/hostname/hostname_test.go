package hostname

import (
	"strings"
	"testing"
)

func TestValid(t *testing.T) {
	for _, s := range []string{
		"", "db", "db.example.com", "db.example.com.", "my_db-1.svc.cluster.local", "10.0.0.1", "::1", "fe80::1%eth0", "büro.example",
		"/var/run/postgresql", "/tmp/a b", `C:\sockets`, strings.Repeat("a", 63) + ".com",
	} {
		if !Valid(s) {
			t.Errorf("%q is a host", s)
		}
	}
	for _, s := range []string{
		"a@b", "a:5432", "[::1]", "a/b", "a b", " a", "a\n", "a;b", "a=b", "a?b", "a#b", "a%b", "a..b", ".", "..", "fe80::1%e@f",
		"/tmp/a@b", "/tmp\n", "c:\\x", "@abstract", strings.Repeat("a", 64), strings.Repeat("a.", 127),
	} {
		if Valid(s) {
			t.Errorf("%q is not a host", s)
		}
	}
}
