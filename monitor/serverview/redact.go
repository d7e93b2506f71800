package serverview

import "github.com/dbpool-go/dbpool/internal/sqltext"

// Redact returns the shape of an SQL statement without the values in it: string,
// number and dollar-quoted literals become ?, comments go (they may carry
// identifiers of requests), the value of SET goes, white space is folded, and
// what is longer than 500 characters is cut. Where it cannot be told whether a
// literal has ended, all that follows goes.
func Redact(query string) string { return sqltext.Shape(query) }
