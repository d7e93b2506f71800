package fleet

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// errShort says that the answer does not fit the question, as behind a proxy
// that rewrites statements.
var errShort = errors.New("the server's answer is incomplete")

// answer walks through the results as sql wrote the statements.
type answer struct {
	results []*pgconn.Result
	at      int
}

func (a *answer) next() *pgconn.Result {
	if a.at >= len(a.results) {
		return &pgconn.Result{}
	}
	a.at++
	return a.results[a.at-1]
}

// row is the next result's only row.
func (a *answer) row(columns int) ([][]byte, error) {
	rows := a.next().Rows
	if len(rows) != 1 || len(rows[0]) != columns {
		return nil, errShort
	}
	return rows[0], nil
}

// silent is how many statements come first whose results say nothing.
func silent(r Request) int {
	n := 1 + len(r.Drop) + len(r.Retract) + len(r.Hush) + len(r.Publish) // the first is untimedSQL
	for _, more := range []bool{r.Part > 0, r.Join != 0, r.Watch != 0} {
		if more {
			n++
		}
	}
	return n
}

// readResponse reads what the server answered to r.
func readResponse(r Request, results []*pgconn.Result) (resp Response, err error) {
	a := &answer{results, silent(r)}
	if r.Bind != 0 {
		a.next()
		c, err := a.row(2)
		if err != nil {
			return resp, err
		}
		resp.Bound = isTrue(c[0])
	}
	if r.Claim > 0 && r.Most > 0 {
		c, err := a.row(1)
		if err != nil {
			return resp, err
		}
		resp.Busy = !isTrue(c[0])
	}
	if r.Claim > 0 {
		resp.Claimed = readNumbers[Token](a.next())
	}
	if r.Guard {
		a.next()
		a.next()
	}
	if r.Raise {
		resp.Raised = readNumbers[uint32](a.next())
	}
	if r.Probe {
		c, err := a.row(1)
		if err != nil {
			return resp, err
		}
		resp.Alarm = isTrue(c[0])
	}
	switch {
	case r.Glance:
		resp.Seen, err = readGlance(a)
	case r.Look:
		resp.Seen, err = readSnapshot(a)
	}
	return resp, err
}

func readNumbers[N ~uint32](res *pgconn.Result) []N {
	var list []N
	for _, row := range res.Rows {
		list = append(list, N(number(row[0])))
	}
	return list
}

// readGlance reads the last result: what prepares the statement comes before.
func readGlance(a *answer) (*Snapshot, error) {
	a.at = max(a.at, len(a.results)-1)
	c, err := a.row(4)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{
		Brief: true, PID: uint32(number(c[0])), Clock: time.Duration(number(c[1])) * time.Millisecond,
		Sessions: Sessions{Server: number(c[2])},
	}
	words := strings.Fields(string(c[3]))
	if len(words)%3 != 0 {
		return nil, errShort
	}
	for i := 0; i < len(words); i += 3 {
		s.Locks = append(s.Locks, Lock{Class: uint32(parse(words[i])), Key: uint32(parse(words[i+1])), PID: uint32(parse(words[i+2]))})
	}
	return s, nil
}

func readSnapshot(a *answer) (*Snapshot, error) {
	c, err := a.row(18)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{
		PID:    uint32(number(c[0])),
		Server: string(c[1]),
		Clock:  time.Duration(number(c[2])) * time.Millisecond,
		Limits: Limits{
			MaxConnections: number(c[3]), SuperuserReserved: number(c[4]), Reserved: number(c[5]),
			MayUseReserved: isTrue(c[6]), Superuser: isTrue(c[7]),
			Role: string(c[8]), RoleLimit: number(c[9]), Database: string(c[10]), DatabaseLimit: number(c[11]),
		},
		Sessions: Sessions{Server: number(c[12]), Role: number(c[13]), Database: number(c[14]), Peers: number(c[15])},
	}
	for _, pid := range strings.Fields(string(c[16])) {
		s.Role = append(s.Role, uint32(parse(pid)))
	}
	if err := json.Unmarshal(c[17], &s.Takers); err != nil {
		return nil, errShort
	}
	for _, row := range a.next().Rows {
		s.Locks = append(s.Locks, Lock{
			Database: string(row[0]), Class: uint32(number(row[1])), Key: uint32(number(row[2])), PID: uint32(number(row[3])),
		})
	}
	return s, nil
}

func isTrue(text []byte) bool { return string(text) == "t" }

// number reads an integer the server wrote itself.
func number(text []byte) int { return parse(string(text)) }

func parse(text string) int {
	n, _ := strconv.ParseInt(text, 10, 64)
	return int(n)
}
