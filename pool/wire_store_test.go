package pool

import (
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/dbpool-go/dbpool/internal/memserver"
)

// wireStore is what a wireServer keeps of statements with arguments: "insert $1" notes its
// argument, in the transaction if there is one; "fail $1" fails with it; "sleep $2" takes so many
// seconds; all return the first argument. It is guarded by the server's lock.
type wireStore struct {
	done map[string]int // how often each argument was written
}

// runWith executes a statement that has arguments.
func (w *wireSession) runWith(sql string) {
	id := w.Args[0]
	switch {
	case strings.Contains(sql, "fail $1"):
		w.fail(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "P0001", Message: id})
		return
	case strings.Contains(sql, "sleep $2") && !w.Sleep(w.Args[1]+"s"):
		w.fail(memserver.UserCancel)
		return
	case strings.HasPrefix(sql, "insert"):
		w.undone = append(w.undone, id)
		w.Complete("INSERT 0 1")
		return
	}
	w.Row([]byte(id))
}

// fail fails the statement, and with it the transaction.
func (w *wireSession) fail(err *pgproto3.ErrorResponse) {
	w.Failed, w.undone = true, nil
	if w.Status == 'T' {
		w.Status = 'E'
	}
	w.Backend.Send(err)
}

// end ends the transaction: by commit, or rollback.
func (w *wireSession) end(sql string) {
	failed := w.Status == 'E'
	w.Status = 'I'
	failure := w.s.failsCommit()
	switch {
	case failed, sql == "rollback":
		w.undone = nil
		w.Complete("ROLLBACK")
	case failure != nil:
		w.undone = nil
		w.Backend.Send(failure)
	default:
		w.Complete("COMMIT")
	}
}

// Settle commits what was written outside a transaction, and says that the session is
// ready. As with a real server a session that is killed has done either both or nothing;
// one that vanishes may have done the first.
func (w *wireSession) Settle() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.s.sessions[w.PID] != w {
		return
	}
	if w.s.store.done == nil {
		w.s.store.done = make(map[string]int)
	}
	if w.Status == 'I' {
		for _, id := range w.undone {
			w.s.store.done[id]++
		}
		w.undone = nil
	}
	if vanishes := w.s.faults.vanishes; vanishes != nil && vanishes() {
		delete(w.s.sessions, w.PID)
		_ = w.Conn.Close()
		return
	}
	w.Send(w.Ready())
}

// wrote is how often each argument was written.
func (s *wireServer) wrote() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.done
}

// textOIDs describes the parameters of a statement: all of them are text.
func textOIDs(sql string) (oids []uint32) {
	for _, name := range []string{"$1", "$2"} {
		if strings.Contains(sql, name) {
			oids = append(oids, 25)
		}
	}
	return oids
}
