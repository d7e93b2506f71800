package pgdriver

import (
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		want Kind
		sql  string
	}{
		{Plain, "select 1"},
		{Plain, "SELECT name, Lower(mail) FROM users WHERE id = $1"},
		{Plain, "  -- a comment\n/* and /* another */ */ ((select 1) union select 2);  "},
		{Plain, "with t as materialized (select id from a where b in ($1, $2)) select count(*) filter (where id > 3) over (order by id) from t limit $3"},
		{Plain, "values (1, 'for update'), (2, 'pg_sleep(1)')"},
		{Plain, "table users"},
		{Plain, `select "for", "update" from "insert"`},
		{Plain, "select $tag$ for update; pg_sleep(1) $tag$, $$ into $$, $1"},
		{Plain, `select E'it\'s for update', 'it''s', B'01', x'1F'`},
		{Plain, "select substring(a for 3), overlay(a placing 'x' from 2 for 4) from t"},
		{Plain, "select currval from t"}, // a column
		{Plain, "select cast(a as numeric(10,2))::varchar(20) from t"},
		{Reads, "select price(id) from orders"},
		{Reads, "select app.lower(name) from t"},
		{Reads, `select "Lower"(name) from t`},
		{Writes, "insert into t values ($1) returning id"},
		{Writes, "update t set a = $1 where id = $2"},
		{Writes, "delete from t"},
		{Writes, "merge into t using s on t.id = s.id when matched then delete"},
		{Writes, "with gone as (delete from t returning *) select * from gone"},
		{Writes, "with new as (insert into t (a) values ($1) returning *) select * from new"},
		{Writes, "select nextval('s')"},
		{Writes, "insert into t values (nextval('s'))"},
		{Alone, "select * from t for update"},
		{Alone, "select * from t FOR  /* why */ No Key Update"},
		{Alone, "select * from t for share of t"},
		{Alone, "select * from t for key share skip locked"},
		{Alone, "select * into copy from t"},
		{Alone, "select pg_sleep(1)"},
		{Alone, "select pg_catalog.pg_sleep_for('1s')"},
		{Alone, `select "pg_sleep"(1)`},
		{Alone, `select U&"pg\005fsleep"(1)`},
		{Alone, "select pg_advisory_lock(1)"},
		{Alone, "select pg_try_advisory_xact_lock_shared(1)"},
		{Alone, "select set_config('a.b', $1, false)"},
		{Alone, "select currval('s')"},
		{Alone, "select lastval ()"},
		{Alone, "select * from dblink('…', 'select 1') as t(a int)"},
		{Alone, "select * from pg_temp.t"},
		{Alone, "insert into t select pg_sleep(1)"},
		{Alone, "begin"}, {Alone, "set a = 1"}, {Alone, "show all"}, {Alone, "listen a"}, {Alone, "copy t from stdin"},
		{Alone, "call p()"}, {Alone, "do $$begin end$$"}, {Alone, "explain select 1"}, {Alone, "create table t ()"},
		{Alone, "select 1; select 2"},
		{Alone, `select 'a\' for update --'`},
		{Alone, "select 'never ends"}, {Alone, "select $$ never ends"}, {Alone, "select /* never ends"}, {Alone, `select "never ends`},
		{Alone, ""}, {Alone, "--"}, {Alone, ";"}, {Alone, "("},
	} {
		if got := Classify(c.sql); got != c.want {
			t.Errorf("%d, want %d: %s", got, c.want, c.sql)
		}
	}
}

// Whatever stands around a call that must be alone, it is found.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{"select 1", "/* */", "'", "$a$", `"x"`, "E'\\'", "--\n", "for update"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		Classify(s)
		if strings.ContainsAny(s, "'\"$*/-\\&;") {
			return // may hide what follows, or be no statement any more
		}
		if got := Classify("select " + s + " , pg_sleep(1)"); got != Alone {
			t.Errorf("%d: %q", got, s)
		}
		if got := Classify("select pg_sleep(1) , " + s); got != Alone {
			t.Errorf("%d: %q", got, s)
		}
	})
}
