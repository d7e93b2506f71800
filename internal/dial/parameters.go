package dial

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
	"github.com/dbpool-go/dbpool/internal/pgoptions"
)

// passedOn are the startup parameters that every pooler keeps for each of its
// clients and sets on whatever server session the client is given.
var passedOn = []string{"application_name", "client_encoding", "datestyle", "timezone", "standard_conforming_strings"}

// forTransactions are the settings that mean something within a transaction
// only, or are good enough there: SET LOCAL with each BEGIN has them in force.
var forTransactions = []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"}

// moveParameters takes out of a dial's startup parameters what a pooler would
// refuse, or swallow with ignore_startup_parameters: the timeouts go into the
// text that is run with every BEGIN. The others are returned as pinned: without
// them statements would do something else, search_path for one, so the server has
// to have them already.
func moveParameters(parameters map[string]string) (beginSuffix string, pinned []pgoptions.Setting) {
	settings, rest := pgoptions.Parse(parameters["options"])
	delete(parameters, "options")
	if len(rest) > 0 {
		parameters["options"] = pgoptions.Join(rest) // no settings: for the pooler itself, or the service that runs it
	}
	wanted := map[string]string{}
	for _, s := range settings {
		wanted[s.Name] = s.Value
	}
	for name, value := range parameters {
		if lower := strings.ToLower(name); lower != "options" && !slices.Contains(passedOn, lower) {
			wanted[lower] = value
			delete(parameters, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if value := wanted[name]; slices.Contains(forTransactions, name) && isPlainTime(value) {
			beginSuffix += "; set local " + name + " = '" + value + "'"
		} else {
			pinned = append(pinned, pgoptions.Setting{Name: name, Value: value})
		}
	}
	return beginSuffix, pinned
}

// isPlainTime reports whether a value can be written into a statement as it is.
func isPlainTime(value string) bool {
	return value != "" && strings.Trim(value, "0123456789. abcdefghijklmnopqrstuvwxyz") == ""
}

// pinnedError is a setting of the connection string that cannot be had through a
// pooler.
type pinnedError struct{ name string }

func (e *pinnedError) Error() string {
	return fmt.Sprintf("%s of the connection string cannot be set through a connection pooler, and the server has another value", e.name)
}

// pinnedQuery asks for a setting, and for how the server writes the wanted value.
// What set_config changes here ends with the statement.
const pinnedQuery = "select pg_catalog.current_setting($1, true), pg_catalog.set_config($1, $2, true)"

// wantPinned makes sure that the server has, for this role and database, what
// cannot be set through the pooler.
func wantPinned(ctx context.Context, c *pgdriver.Conn, pinned []pgoptions.Setting) error {
	for _, s := range pinned {
		result := c.PgConn().ExecParams(ctx, pinnedQuery, [][]byte{[]byte(s.Name), []byte(s.Value)}, nil, nil, nil).Read()
		if result.Err != nil && pgdriver.SQLState(result.Err) == "" {
			return &checkError{result.Err}
		}
		if result.Err != nil || len(result.Rows) != 1 || !sameSetting(string(result.Rows[0][0]), string(result.Rows[0][1])) {
			return &pinnedError{s.Name}
		}
	}
	return nil
}

// sameSetting compares lists as they may be written: search_path = a, "b".
func sameSetting(a, b string) bool {
	plain := strings.NewReplacer(" ", "", `"`, "", "'", "")
	return plain.Replace(a) == plain.Replace(b)
}
