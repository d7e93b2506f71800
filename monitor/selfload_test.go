package monitor

import (
	"testing"

	"github.com/dbpool-go/dbpool/pool"
)

func TestOwnWorkIsNotCountedAsCallers(t *testing.T) {
	var o selfLoad
	fail := func() error { return &pool.AcquireError{Kind: pool.ErrPoolTimeout} }
	check := func(what string, late, want uint64) {
		t.Helper()
		if got, _ := o.others(late, 0); got != want {
			t.Errorf("%s: %d of %d are callers', want %d", what, got, late, want)
		}
	}
	check("nothing of ours", 3, 3)
	_ = o.do(fail)
	check("ours and two callers'", 3, 2)
	check("later", 1, 1)
	_ = o.do(func() error {
		check("counted while under way", 1, 0)
		return fail()
	})
	check("after it ended", 1, 1)
	_ = o.do(func() error {
		check("a caller's, while ours is under way and will not fail", 2, 1)
		return nil
	})
	_ = o.do(fail)
	check("a failure the pool did not count", 0, 0)
	check("does not hide the next", 1, 1)
	_ = o.do(func() error { return &pool.AcquireError{Kind: pool.ErrOverloaded} })
	if late, shed := o.others(1, 1); late != 1 || shed != 0 {
		t.Errorf("%d late, %d shed", late, shed)
	}
}
