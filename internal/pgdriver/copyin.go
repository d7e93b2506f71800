package pgdriver

// CopyError is the error of a COPY … FROM STDIN that was given to a call that
// has no data to send. See exchange.refuseCopy.
type CopyError struct{ err error } // the server's, which ended the statement

func (e *CopyError) Error() string {
	return "pool: COPY FROM STDIN reads its data from the client, and ExecContext, QueryContext and prepared statements have none to send; use Pool.Conn, Conn.Raw and pgx's CopyFrom, as in the example of Pool.Conn: " + e.err.Error()
}

func (e *CopyError) Unwrap() error { return e.err }
