package gate

// backgroundTurn is after how many requests a waiting background task is served.
const backgroundTurn = 4

// admitsLocked reports whether lane l may have one more connection. Background
// work never holds more than half of the limit, and probes one connection; neither
// callers nor background work have the place that is kept for a monitor.
func (g *Gate) admitsLocked(l Lane) bool {
	if kept := g.keptLocked(); kept > 0 && l != Probe && g.callersLocked() >= g.limit-kept {
		return false
	}
	switch l {
	case Background:
		return g.heldBy[l] < g.backgroundCapLocked()
	case Probe:
		return g.heldBy[l] == 0
	}
	return true
}

func (g *Gate) backgroundCapLocked() int { return BackgroundCap(g.limit) }

// BackgroundCap is how many connections background work may have under a limit.
func BackgroundCap(limit int) int { return max(1, limit/2) }

// nextLocked is whose turn it is: probes, then requests in order of arrival,
// and after every backgroundTurn requests one background task.
func (g *Gate) nextLocked() *Permit {
	if p := g.headLocked(Probe); p != nil {
		return p
	}
	request, background := g.headLocked(Request), g.headLocked(Background)
	if background != nil && (request == nil || g.turn >= backgroundTurn) {
		return background
	}
	return request
}

// headLocked is who has waited longest in lane l, if l may have a connection.
func (g *Gate) headLocked(l Lane) *Permit {
	if !g.admitsLocked(l) {
		return nil
	}
	return g.queue[l].first
}

// turnLocked notes that lane l was served.
func (g *Gate) turnLocked(l Lane) {
	switch l {
	case Background:
		g.turn = 0
	case Request:
		g.turn++
	}
}
