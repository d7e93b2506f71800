//go:build race

package fleet

// usualSeeds is 1 under the race detector: a simulation takes six times as long with it,
// and it finds in one run what it finds in two.
const usualSeeds = 1
