package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A password that was not escaped is refused, whatever it spilled into, and what
// is said of it quotes none of it.
func TestSpilledPasswords(t *testing.T) {
	for _, dsn := range []string{
		"postgres://app:hun@ter2@host/orders",
		"postgres://app:hun@ter2@host:5432/orders?sslmode=disable",
		"postgres://app:12/34@host/orders",
		"postgres://app:12/ter2@host/orders",
		"postgres://app:12/3?ter2@host/orders",
		"postgres://app:12/3?ter2=x@host/orders",
		"postgres://app:1/h@unter2@host/orders",
		"postgres://app:hun@ter2/34@host/orders",
		"postgres://app:hun@ter2,b@host/orders",
		"postgres://app:hun@ter2?a=b@host/orders",
		"postgres://app:hun@ter2#34@host/orders",
		"postgres://app@tenant:hunter2@host/orders",
		"postgres://app@tenant:5432@host/orders",
		"postgres://app%3Ahunter2@host/orders",
		"postgres://app:hunter2",
		"host=app:hunter2@db dbname=orders",
		"host=db:hunter2 dbname=orders",
		"host=db;password=hunter2",
		"host=db port=hunter2",
		"host=db dbname=postgres://app:hunter2@db/orders",
		"host=db user=app password=hun ter2",
		"host=db user=app password=hun ter2 dbname=orders",
		"host=db user=app password=hun hunter2=4 dbname=orders",
		"host=db user=app password='hun'hunter2=4 dbname=orders",
		"host=db user=app password=hun sslmod_hunter2=4 dbname=orders",
		"user=app Password=x hunter2=3 host=db",
	} {
		_, err := From(map[string]string{"DATABASE_URL": dsn})
		if err == nil {
			t.Errorf("%s: accepted", dsn)
			continue
		}
		for _, piece := range []string{"hunter2", "unter", "ter2", "tenant"} {
			if strings.Contains(err.Error(), piece) {
				t.Errorf("%s: %v", dsn, err)
			}
		}
	}
	for _, name := range []string{"PGHOST", "PGPORT"} {
		for _, value := range []string{"app:hunter2@db", "hunter2@db", "db hunter2", "db:hunter2", "hunter2\n5432"} {
			if _, err := From(map[string]string{"PGHOST": "db", name: value}); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s=%s: %v", name, value, err)
			}
		}
	}
}

// Strings that hold special characters where they may be are accepted as they are.
func TestNoSpill(t *testing.T) {
	for _, dsn := range []string{
		"postgres://app:hun%40ter%2F2@host/orders",
		"postgres://app:hun:ter2@host/orders",
		"postgres://app:hun?ter2@host/orders",
		"postgres://app:hun#ter2@host/orders",
		"postgres://app%40tenant:hunter2@host/orders",
		"postgres://host/orders?user=app%40tenant&application_name=a%40b",
		"postgres://app@/orders?host=/var/run/postgresql",
		"host=db user=app@tenant password='hun ter@2' dbname=my@orders",
		"host=db user=app password=hun=ter@2",
	} {
		if _, err := From(map[string]string{"DATABASE_URL": dsn}); err != nil {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

// FuzzSpill puts any password, not escaped, into each form of a connection
// string. If the string is accepted, then host, port, user and database are what
// they were, so that nothing quotes a part of the password later; and no report
// holds one.
func FuzzSpill(f *testing.F) {
	for _, p := range []string{"hun@ter2", "12/34", "1/ABCD@EFGH", "ABCD EFGH", "ABCD EFGH=IJKL", "'ABCD'EFGH=IJKL", `ABCD\`, "A?BCDE=FGHI&JKLM=NOPQ", "A#BCDE", "A:BCDE",
		"A@BCDE/FGHI?JKLM=NOPQ", "A@BCDE,FGHI", "%41BCDE", "A%4", "[ABCD", "A@[ABCD]", "ABCD\nEFGH", "5432/ABCD@", "A@BCDE:5432", "ABCD host", "ABCD SSLMOD=", "A B.CDEF=1", "é@ÄÖÜß",
	} {
		f.Add(p)
	}
	forms := []string{
		"postgres://xy:%s@h.invalid:5433/dd",
		"postgres://xy:%s@h.invalid/dd?sslmode=disable",
		"postgres://h.invalid:5433/dd?user=xy&password=%s",
		"host=h.invalid port=5433 user=xy dbname=dd password=%s",
		"password=%s host=h.invalid port=5433 user=xy dbname=dd",
		"host=h.invalid user=xy password='%s' dbname=dd",
	}
	harmless := strings.Join(forms, " ") + Default().String() + ownWords(f)
	f.Fuzz(func(t *testing.T, password string) {
		for _, form := range forms {
			spill(t, fmt.Sprintf(form, password), password, harmless)
		}
	})
}

// ownWords is all that the messages can consist of.
func ownWords(t testing.TB) string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	var b strings.Builder
	for _, name := range files {
		text, err1 := os.ReadFile(name)
		if err = errors.Join(err, err1); !strings.HasSuffix(name, "_test.go") {
			b.Write(text)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func spill(t *testing.T, dsn, password, harmless string) {
	t.Helper()
	c, err := From(map[string]string{"DATABASE_URL": dsn, "HOME": "/nowhere"})
	shown := fmt.Sprint(c.DatabaseURL, c, c.Warnings(), err)
	for _, piece := range pieces(password) {
		if strings.Contains(shown, piece) && !strings.Contains(harmless, piece) {
			t.Errorf("%q: %q is shown in %s", dsn, piece, shown)
		}
	}
	if err != nil {
		return
	}
	said, _ := c.DatabaseURL.settings()
	for keyword, want := range map[string]string{"host": "h.invalid", "port": "5433", "user": "xy", "dbname": "dd"} {
		if got := said[keyword]; got != "" && got != want {
			t.Errorf("%q was accepted with the %s %q", dsn, keyword, got)
		}
	}
}

// pieces are what four neighbouring characters of the password are, as written
// and as the string would be decoded.
func pieces(password string) []string {
	var all []string
	for _, s := range []string{password, unescaped(password)} {
		runes := []rune(s)
		for i := 0; i+4 <= len(runes); i++ {
			all = append(all, string(runes[i:i+4]))
		}
	}
	return all
}

func unescaped(s string) string {
	plain, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return plain
}
