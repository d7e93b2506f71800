package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

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

// takersSQL is who has the sessions on the server, as JSON.
const takersSQL = `SELECT coalesce(json_agg(t), '[]')::text FROM (
 SELECT usename AS role, application_name AS application, datname AS database, count(*) AS sessions FROM pg_catalog.pg_stat_activity
 WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid()
 GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 50) t`

func takers(ctx context.Context, q serverview.Querier) ([]fleet.Taker, error) {
	var doc string
	if err := q.QueryRowContext(ctx, takersSQL).Scan(&doc); err != nil {
		return nil, fmt.Errorf("sessions by role: %w", err)
	}
	var list []fleet.Taker
	if err := json.Unmarshal([]byte(doc), &list); err != nil {
		return nil, fmt.Errorf("sessions by role: unexpected answer: %w", err)
	}
	return list, nil
}

// others marks those of the takers that are the fleet's own.
func (c Case) others() []fleet.Taker {
	list := slices.Clone(c.takers)
	for i := range list {
		list[i].Peer = list[i].Application == c.Application
	}
	return list
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
