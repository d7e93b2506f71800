package doctor

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/dbpool-go/dbpool/internal/fleet"
	"github.com/dbpool-go/dbpool/monitor/serverview"
)

// fleetLocksSQL reads the locks by which replicas know of each other: one row,
// one column, as JSON.
const fleetLocksSQL = `SELECT coalesce(json_agg(json_build_object('Database', d.datname, 'Class', l.classid::int8, 'Key', l.objid::int8, 'PID', l.pid)), '[]')::text
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND l.classid::int8 >> 24 = %d`

func fleetLocks(ctx context.Context, q serverview.Querier) ([]fleet.Lock, error) {
	var doc string
	if err := q.QueryRowContext(ctx, fmt.Sprintf(fleetLocksSQL, fleet.DefaultKeySpace)).Scan(&doc); err != nil {
		return nil, fmt.Errorf("locks of the fleet: %w", err)
	}
	var locks []fleet.Lock
	if err := json.Unmarshal([]byte(doc), &locks); err != nil {
		return nil, fmt.Errorf("locks of the fleet: unexpected answer: %w", err)
	}
	return locks, nil
}

// bystander shows a watcher what was seen already. As it has no session, the
// watcher leaves no lock behind, which would count as one more replica.
type bystander struct{ seen fleet.Snapshot }

func (b bystander) Do(context.Context, fleet.Request) (fleet.Response, error) {
	return fleet.Response{Seen: &b.seen}, nil
}

func (bystander) PID() uint32 { return 0 }

// liveReplicas counts the replicas of a service, which go by the pool's name,
// and notes what other services claim. It returns 0 when no replica of any
// service is to be seen, and at least 1 otherwise.
func (c *Case) liveReplicas(service string) int {
	if len(c.fleetLocks) == 0 {
		return 0
	}
	seen := fleet.Snapshot{Server: "seen", Limits: c.proof().Limits, Locks: c.fleetLocks, PID: 1}
	w := fleet.NewWatcher(fleet.Options{Service: service, Seed: 1}, fleet.Ask{Budget: c.Ask.Budget})
	proof, err := w.Look(context.Background(), bystander{seen})
	if err != nil { // a bystander has none
		return 0
	}
	c.Claimed = proof.Claimed
	return proof.Ask.Replicas
}
