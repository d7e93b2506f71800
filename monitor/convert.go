package monitor

import (
	"time"

	"github.com/dbpool-go/dbpool/config"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
	"github.com/dbpool-go/dbpool/pool"
)

func poolFigures(l look) statusjson.PoolFigures {
	s, threshold := &l.stats, l.cfg.MaxConnectionWarnings
	return statusjson.PoolFigures{
		Size: s.PoolSize, CheckedIn: s.Idle, CheckedOut: s.InUse, Overflow: s.Overflow(),
		MaxOverflow: s.MaxOverflow, MaxOpen: s.MaxOpen(), Limit: s.Limit,
		Dialing: s.Dialing, Closing: s.Closing, Quarantined: s.Quarantined,
		UsagePercent: round(s.Usage()), ThresholdPercent: threshold, ClearPercent: clearLevel(threshold),
	}
}

func queueFigures(s *pool.Stats) statusjson.QueueFigures {
	return statusjson.QueueFigures{
		Waiting: s.Waiting, AcquiredCount: s.AcquireCount, WaitedCount: s.WaitCount,
		WaitTotalSeconds: seconds(s.WaitDuration), HoldTotalSeconds: seconds(s.HoldDuration),
		TimedOutCount: s.TimeoutCount, ShedCount: s.ShedCount, CanceledCount: s.AcquireCanceledCount, NestedCount: s.NestedCount,
		Wait: distribution(s.Wait), Hold: distribution(s.Hold),
	}
}

func distribution(h pool.Histogram) statusjson.Distribution {
	if h.Count == 0 {
		return statusjson.Distribution{}
	}
	d := statusjson.Distribution{
		Count: h.Count, MeanSeconds: seconds(h.Sum / time.Duration(h.Count)),
		P50Seconds: h.Quantile(0.50).Seconds(), P90Seconds: h.Quantile(0.90).Seconds(),
		P95Seconds: h.Quantile(0.95).Seconds(), P99Seconds: h.Quantile(0.99).Seconds(),
	}
	bounds := pool.HistogramBounds()
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		b := statusjson.Bucket{Count: n}
		if i < len(bounds) {
			b.UpToSeconds = bounds[i].Seconds()
		}
		d.Buckets = append(d.Buckets, b)
	}
	return d
}

func pipelineFigures(s *pool.PipelineStats) statusjson.PipelineFigures {
	f := statusjson.PipelineFigures{
		Mode: string(s.Mode), SharedCount: s.SharedCount, RunCount: s.RunCount,
		UnsharedCount: s.Unshared.Total(), Unshared: statusjson.UnsharedReasons(s.Unshared),
	}
	bounds := pool.RunLengthBounds()
	for i, n := range s.RunLengths {
		if n == 0 {
			continue
		}
		r := statusjson.PipelineRuns{Count: n}
		if i < len(bounds) {
			r.UpTo = bounds[i]
		}
		f.Lengths = append(f.Lengths, r)
	}
	return f
}

func laneFigures(s *pool.Stats) []statusjson.LaneFigures {
	out := make([]statusjson.LaneFigures, 0, len(s.Lanes))
	for i, l := range s.Lanes {
		out = append(out, statusjson.LaneFigures{Lane: pool.Lane(i).String(), InUse: l.InUse, Waiting: l.Waiting})
	}
	return out
}

func connectionFigures(s *pool.Stats) statusjson.ConnectionFigures {
	return statusjson.ConnectionFigures{
		OpenedCount: s.OpenedCount, ClosedCount: s.Closed.Total(), Closed: statusjson.ClosedReasons(s.Closed), Ended: statusjson.EndedCauses(s.Ended),
		DialCount: s.DialCount, DialErrorCount: s.DialErrorCount, CanceledStatementCount: s.CancelCount,
	}
}

func accessState(s *pool.Stats) statusjson.AccessState {
	return statusjson.AccessState{OK: !refuses(s), Reason: string(s.Server.Reason), Since: s.Server.Since}
}

// dialFailure tells a failed dial. The server's own words name no address; the
// network's do.
func dialFailure(e *pool.DialError, addresses bool) *statusjson.DialFailure {
	if e == nil {
		return nil
	}
	f := &statusjson.DialFailure{At: e.At, SQLState: e.SQLState, Reason: string(e.Reason), Remedy: e.Remedy}
	if e.SQLState != "" || addresses {
		f.Message = e.Message
	}
	return f
}

func settings(c config.Config) statusjson.Settings {
	return statusjson.Settings{
		PoolTimeoutSeconds: c.PoolTimeout.Seconds(), PoolRecycleSeconds: c.PoolRecycle.Seconds(),
		ConnectTimeoutSeconds: c.ConnectTimeout.Seconds(), StatementTimeoutSeconds: c.StatementTimeout.Seconds(),
		OverflowLingerSeconds: c.OverflowLinger.Seconds(), LeakThresholdSeconds: c.LeakThreshold.Seconds(),
		MaxWaiters: c.MaxWaiters, LogStatusIntervalSeconds: c.LogPoolStatusInterval.Seconds(),
		Fleet: string(c.Fleet), FleetReplicas: c.FleetReplicas, FleetSurge: c.FleetSurge, FleetBudget: string(c.FleetBudget),
	}
}

func holders(held []pool.Holder, stacks bool) []statusjson.Holder {
	out := make([]statusjson.Holder, 0, len(held))
	for _, h := range held {
		o := statusjson.Holder{
			Lane: h.Lane.String(), Name: h.Name, Caller: h.Caller, HeldSeconds: seconds(h.Held),
			Activity: h.Activity, PID: h.PID, Leaking: h.Leaking,
		}
		if stacks {
			o.Stack = h.Stack[:min(len(h.Stack), stackShown)]
		}
		out = append(out, o)
	}
	return out
}
