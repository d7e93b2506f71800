package pgdriver

import (
	"slices"
	"strings"
)

// Kind is what the text of a statement says about it. It errs on the side of
// Alone: what looks unusual does not share a connection.
type Kind uint8

// The kinds, from the least to the most that may be done with a statement.
const (
	Alone  Kind = iota // waits, locks, lives in the session, or is not understood
	Writes             // changes data
	Reads              // a query; the functions that it calls are not all known
	Plain              // a query that calls nothing but functions known to have no effect, so it may be executed twice
)

// Classify reads the text of a statement.
func Classify(sql string) Kind {
	s := scanner{sql: sql}
	kind := firstWord(&s)
	for kind != Alone {
		t := s.next()
		if t.kind == tokenEnd {
			return kind
		}
		kind = min(kind, classifyToken(&s, t))
	}
	return Alone
}

// firstWord is the best that a statement which begins like this can be.
func firstWord(s *scanner) Kind {
	t := s.next()
	for t.is("(") {
		t = s.next()
	}
	switch t.text {
	case "select", "with", "values", "table":
		return Plain
	case "insert", "update", "delete", "merge":
		return Writes
	}
	return Alone
}

// classifyToken is the best that a statement with t in it can be.
func classifyToken(s *scanner, t token) Kind {
	switch t.kind {
	case tokenWord, tokenQuoted:
		return classifyWord(s, t)
	case tokenStrange:
		return Alone
	}
	if t.is(";") && s.next().kind != tokenEnd {
		return Alone // several statements; the server refuses them anyway
	}
	return Plain
}

func classifyWord(s *scanner, t token) Kind {
	after := s.peek()
	if after.is("(") {
		return classifyCall(t, s.before)
	}
	if t.kind == tokenQuoted {
		return Plain
	}
	switch {
	case t.text == "for" && slices.Contains(lockStrengths, after.text):
		return Alone
	case strings.HasPrefix(t.text, "pg_temp"):
		return Alone
	case t.text == "into" && s.before != "insert" && s.before != "merge":
		return Alone // SELECT INTO makes a table
	case slices.Contains(changing, t.text):
		return Writes
	}
	return Plain
}

var (
	lockStrengths = []string{"update", "share", "no", "key"}
	changing      = []string{"insert", "update", "delete", "merge"}
)

// classifyCall judges the call of a function, or a word that only looks like it.
func classifyCall(t token, before string) Kind {
	name := t.text
	if _, denied := deniedFunctions[name]; denied {
		return Alone
	}
	for _, prefix := range deniedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return Alone
		}
	}
	if slices.Contains(changing, name) && t.kind == tokenWord {
		return Writes
	}
	if _, changes := changingFunctions[name]; changes {
		return Writes
	}
	if _, plain := plainFunctions[name]; plain && before != "." {
		return Plain
	}
	return Reads
}

func setOf(words string) map[string]struct{} {
	set := make(map[string]struct{})
	for word := range strings.FieldsSeq(words) {
		set[word] = struct{}{}
	}
	return set
}

// deniedFunctions wait, or live in the session, or do things to other sessions.
var deniedFunctions = setOf(`
	set_config setseed currval lastval
	pg_notify pg_listening_channels
	pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile pg_log_backend_memory_contexts
	pg_export_snapshot pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup
	pg_switch_wal pg_create_restore_point pg_promote pg_import_system_collations
	pg_prewarm pg_stat_clear_snapshot pg_safe_snapshot_blocking_pids
	loread lowrite
	query_to_xml cursor_to_xml query_to_xmlschema cursor_to_xmlschema query_to_xml_and_xmlschema
	crosstab crosstabn connectby ts_stat ts_rewrite
`)

var deniedPrefixes = []string{
	"pg_advisory", "pg_try_advisory", "pg_sleep", "dblink", "lo_", "pg_stat_reset", "pg_replication_", "pg_logical_",
	"pg_create_", "pg_drop_", "pg_wal_replay", "pg_copy_", "pg_file_", "pg_sync_", "postgres_fdw_", "pg_stat_statements_reset", "pg_wait_",
}

// changingFunctions change something that a query only reads.
var changingFunctions = setOf("nextval setval")

// plainFunctions have no effect. Words that may stand before a parenthesis
// without being a function are among them.
var plainFunctions = setOf(`
	and any all array as between by case cast coalesce collate cross distinct else escape except exists extract filter from full
	greatest group grouping having ilike in inner intersect into is isnull join lateral least left like limit materialized not notnull null nullif
	offset on only or order outer over overlaps overlay partition position recursive returning right row rows select set sets similar
	some substring symmetric table tablesample then to treat trim union using values when where window with within cube rollup
	bigint bit boolean bool bpchar bytea char character date decimal double float float4 float8 int int2 int4 int8 integer interval json jsonb
	name numeric oid real smallint text time timestamp timestamptz timetz uuid varbit varchar varying precision zone
	abs cbrt ceil ceiling degrees div exp factorial floor gcd lcm ln log log10 mod pi power radians round scale sign sqrt trim_scale trunc
	width_bucket random acos asin atan atan2 cos cot sin tan
	ascii bit_length btrim char_length character_length chr concat concat_ws convert_from convert_to decode encode format initcap length lower
	lpad ltrim md5 octet_length quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches
	regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse rpad rtrim sha224 sha256 sha384 sha512
	split_part starts_with string_to_array string_to_table strpos substr to_ascii to_hex translate unistr upper unaccent similarity word_similarity
	to_char to_date to_number to_timestamp
	age clock_timestamp current_date current_time current_timestamp date_add date_bin date_part date_subtract date_trunc isfinite
	justify_days justify_hours justify_interval localtime localtimestamp make_date make_interval make_time make_timestamp make_timestamptz
	now statement_timestamp timeofday transaction_timestamp
	array_agg array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions array_prepend
	array_remove array_replace array_to_string array_upper cardinality trim_array unnest generate_series generate_subscripts
	avg bit_and bit_or bool_and bool_or count every max min string_agg sum stddev stddev_pop stddev_samp variance var_pop var_samp corr
	covar_pop covar_samp regr_slope regr_intercept mode percentile_cont percentile_disc
	row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
	json_agg jsonb_agg json_object_agg jsonb_object_agg to_json to_jsonb array_to_json row_to_json json_build_array jsonb_build_array
	json_build_object jsonb_build_object json_object jsonb_object json_array_length jsonb_array_length json_each jsonb_each json_each_text
	jsonb_each_text json_extract_path jsonb_extract_path json_extract_path_text jsonb_extract_path_text json_object_keys jsonb_object_keys
	json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text json_typeof jsonb_typeof json_strip_nulls
	jsonb_strip_nulls jsonb_set jsonb_insert jsonb_pretty jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array
	jsonb_path_query_first json_populate_record jsonb_populate_record json_to_recordset jsonb_to_recordset json_to_record jsonb_to_record
	to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery ts_rank ts_rank_cd ts_headline setweight numnode querytree
	gen_random_uuid uuid_generate_v4 uuidv4 uuidv7 uuid_extract_timestamp uuid_extract_version
	lower_inc upper_inc lower_inf upper_inf isempty range_merge int4range int8range numrange tsrange tstzrange daterange
	host network masklen netmask broadcast hostmask family abbrev inet_merge inet_same_family
	num_nulls num_nonnulls pg_typeof format_type current_database current_schema current_schemas current_setting current_user session_user version
	pg_get_viewdef pg_get_indexdef pg_get_constraintdef pg_get_expr pg_get_userbyid pg_table_is_visible pg_relation_size pg_table_size
	pg_total_relation_size pg_database_size pg_size_pretty pg_encoding_to_char obj_description col_description has_table_privilege
	has_schema_privilege to_regclass to_regtype pg_is_in_recovery txid_current_snapshot
	st_distance st_dwithin st_contains st_intersects st_within st_asgeojson st_astext st_makepoint st_setsrid st_x st_y st_transform
	st_geomfromtext st_makeenvelope point box circle polygon
`)
