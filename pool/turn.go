package pool

// backgroundTurn is after how many requests a waiting background task is served.
const backgroundTurn = 4

// admitsLocked reports whether lane l may have one more connection. Background
// work never holds more than half of the limit, and probes one connection; neither
// callers nor background work have the place that is kept for a monitor.
func (g *gate) admitsLocked(l Lane) bool {
	if kept := g.keptLocked(); kept > 0 && l != LaneProbe && g.callersLocked() >= g.limit-kept {
		return false
	}
	switch l {
	case LaneBackground:
		return g.heldBy[l] < g.backgroundCapLocked()
	case LaneProbe:
		return g.heldBy[l] == 0
	}
	return true
}

func (g *gate) backgroundCapLocked() int { return backgroundCap(g.limit) }

// backgroundCap is how many connections background work may have under a limit.
func backgroundCap(limit int) int { return max(1, limit/2) }

// nextLocked is whose turn it is: probes, then requests in order of arrival,
// and after every backgroundTurn requests one background task.
func (g *gate) nextLocked() *permit {
	if p := g.headLocked(LaneProbe); p != nil {
		return p
	}
	request, background := g.headLocked(LaneRequest), g.headLocked(LaneBackground)
	if background != nil && (request == nil || g.turn >= backgroundTurn) {
		return background
	}
	return request
}

// headLocked is who has waited longest in lane l, if l may have a connection.
func (g *gate) headLocked(l Lane) *permit {
	if !g.admitsLocked(l) {
		return nil
	}
	return g.queue[l].first
}

// turnLocked notes that lane l was served.
func (g *gate) turnLocked(l Lane) {
	switch l {
	case LaneBackground:
		g.turn = 0
	case LaneRequest:
		g.turn++
	}
}
