package serverview

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"":                                        "",
		"SELECT 1":                                "SELECT ?",
		"select *  from\n\torders where id=$1":    "select * from orders where id=$1",
		"SELECT 'it''s', E'a\\'b', B'01', x'ff'":  "SELECT ?, ?, ?, ?",
		"SELECT U&'d\\0061t' AS a":                "SELECT U&? AS a",
		`SELECT "my ""col""", t1.c2 FROM "t"`:     `SELECT "my ""col""", t1.c2 FROM "t"`,
		"SELECT $$secret$$, $a1$ x $$ y $a1$, $2": "SELECT ?, ?, $2",
		"SELECT 1.5e-3, .5, 0xff, 1_000, a1, a.b": "SELECT ?, ?, ?, ?, a1, a.b",
		"SELECT a /* secret /* nested */ 'x' */ -- rest 'secret'\nFROM t": "SELECT a FROM t",
		"SELECT 'never ends":                         "SELECT ?",
		`SELECT 'a\', 'secret', b`:                   "SELECT ?",
		"SELECT $tag$ never ends $tg$ FROM t":        "SELECT ?",
		"SELECT /* never ends 'secret'":              "SELECT",
		"SET my.token = hunter2":                     "SET my.token = ?",
		"set local app.user TO bob":                  "set local app.user TO ?",
		"SET ROLE writer":                            "SET ROLE writer",
		"ALTER ROLE bob PASSWORD 'hunter2'":          "ALTER ROLE bob PASSWORD ?",
		"UPDATE t SET a = 5 WHERE b = -7.25 AND c>3": "UPDATE t SET a = ? WHERE b = -? AND c>?",
		"SELECT größe, 'ü' FROM straße":              "SELECT größe, ? FROM straße",
		"SELECT \xff'a\xfe'":                         "SELECT ?",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRedactCutsLongTexts(t *testing.T) {
	got := Redact("SELECT " + strings.Repeat("ä", 1000))
	if n := utf8.RuneCountInString(got); n != 500 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d characters, ending in %q", n, got[len(got)-4:])
	}
}

// FuzzRedact hides a secret in every kind of literal and comment, surrounded by
// anything at all, and looks for it in what is left.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"SELECT ", "a'b", "E'x\\'", "$a$", "/* ", "-- \n", `"`, "1e", "U&'", "$1", "\\"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		if out := Redact(before + after); !utf8.ValidString(out) || utf8.RuneCountInString(out) > 500 {
			t.Errorf("Redact(%q) = %q", before+after, out)
		}
		const secret = "qSECRETq"
		if strings.Contains(before, secret) || strings.Contains(after, secret) || strings.ContainsAny(before, `'"$\-/`) {
			return // it would not be known what the secret is part of
		}
		for _, literal := range []string{"'" + secret + "'", " E'\\'" + secret + "'", " $t$" + secret + "$t$", "/*" + secret + "*/", "--" + secret + "\n", "'''" + secret + "'"} {
			if out := Redact(before + " " + literal + after); strings.Contains(out, secret) {
				t.Errorf("Redact(%q) = %q", before+" "+literal+after, out)
			}
		}
	})
}
