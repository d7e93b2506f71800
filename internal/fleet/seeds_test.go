//go:build !race

package fleet

// usualSeeds is how many seeds each simulated scenario is run with by default.
const usualSeeds = 2
