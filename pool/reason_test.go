package pool

import (
	"slices"
	"testing"

	"github.com/dbpool-go/dbpool/internal/dial"
)

// TestEveryReasonIsListed wants each reason that a dial can give to be a constant
// here, once: whoever asks it for NoCapacity, or lists it as a label, misses none.
func TestEveryReasonIsListed(t *testing.T) {
	var given []Reason
	for _, r := range dial.Reasons() {
		given = append(given, Reason(r))
	}
	if all := Reasons(); !slices.Equal(all, given) || len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) || slices.Contains(all, "") {
		t.Errorf("listed %q, given %q", all, given)
	}
}
