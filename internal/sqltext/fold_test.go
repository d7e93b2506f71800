package sqltext

import "testing"

func TestFolded(t *testing.T) {
	for query, want := range map[string]string{
		"select * from t where id = 17 and name = 'bob' -- request 4711": "select * from t where id = ? and name = ?",
		"select * from t where id in ($1, $2,$3)":                        "select * from t where id in (…)",
		"select * from t where id in (1, 2, 3, 4)":                       "select * from t where id in (…)",
		"select * from t where id in ($1)":                               "select * from t where id in ($1)",
		"insert into t (a, b) values ($1, $2), ($3, $4),\n($5, $6)":      "insert into t (a, b) values (…)",
		"insert into t values ('x', 1)":                                  "insert into t values (…)",
		"select coalesce(a, 0), f($1, b)":                                "select coalesce(a, ?), f($1, b)",
		"alter role bob password 'secret'":                               "alter role bob password ?",
		"set app.token = geheim":                                         "set app.token = ?",
		"select 'it''s open":                                             "select ?",
		"":                                                               "",
	} {
		if got := Folded(query); got != want {
			t.Errorf("%s\n got %s\nwant %s", query, got, want)
		}
	}
}
