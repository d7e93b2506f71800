package pgdriver

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestPosition(t *testing.T) {
	for text, want := range map[string]Position{"0/0": 0, "16/B374D848": 0x16B374D848, "FFFFFFFF/FFFFFFFF": 1<<64 - 1, "0/1500000": 0x1500000} {
		if got, ok := ParsePosition(text); got != want || !ok || got.String() != text {
			t.Errorf("%s: %d, %v, written %s", text, got, ok, got)
		}
	}
	for _, text := range []string{"", "0", "/", "1/", "/1", "1/2/3", "x/1", "1/100000000", "-1/1", "+1/1", " 1/1", "0x1/1", "1_0/1"} {
		if got, ok := ParsePosition(text); ok {
			t.Errorf("%q was read as %s", text, got)
		}
	}
	for at, want := range map[Position]Position{8192 + 24: 8192, 8192 + 40: 8192 + 40, 8192: 8192, 8192 + 32: 8192 + 32, 24: 0} {
		if got := at.ended(); got != want {
			t.Errorf("%d ends at %d, want %d", at, got, want)
		}
	}
}

// A position is known again once it was asked for after the last commit whose own
// is not known.
func TestProgress(t *testing.T) {
	p := &Progress{}
	want := func(what string, at Position, known bool) {
		t.Helper()
		if got, touched := p.Need(); got != at || (touched == 0) != known {
			t.Errorf("%s: %d, touched %d; want %d, known %v", what, got, touched, at, known)
		}
	}
	want("new", 0, true)
	p.Reach(50)
	p.Reach(40)
	want("the latest counts", 50, true)
	p.Touch()
	want("touched", 50, false)
	_, first := p.Need()
	p.Touch()
	if at := p.Answered(first, 60); at != 60 {
		t.Errorf("needs %d", at)
	}
	want("touched again while it was asked for", 60, false)
	_, second := p.Need()
	p.Answered(second, 55)
	want("asked for", 60, true)
	p.Answered(first, 58)
	want("an older answer", 60, true)

	var nobody *Progress
	nobody.Touch()
	if at, touched := nobody.Need(); at != 0 || touched != 0 {
		t.Error("nobody needs something")
	}
}

// A commit is done when the server has said so, whatever became of the question.
func TestNoteCommit(t *testing.T) {
	commit := &pgconn.Result{CommandTag: pgconn.NewCommandTag("COMMIT")}
	told := &pgconn.Result{Rows: [][][]byte{{[]byte("0/64")}}, CommandTag: pgconn.NewCommandTag("SELECT 1")}
	failed := &pgconn.Result{Err: errors.New("canceled")}
	for name, test := range map[string]struct {
		results     []*pgconn.Result
		done, known bool
		at          Position
	}{
		"told":           {[]*pgconn.Result{commit, told}, true, true, 100},
		"not told":       {[]*pgconn.Result{commit}, true, false, 0},
		"refused":        {[]*pgconn.Result{commit, failed}, true, false, 0},
		"not committed":  {[]*pgconn.Result{failed}, false, true, 0},
		"rolled back":    {[]*pgconn.Result{{CommandTag: pgconn.NewCommandTag("ROLLBACK")}, told}, false, true, 0},
		"nothing came":   {nil, false, true, 0},
		"told something": {[]*pgconn.Result{commit, {Rows: [][][]byte{{nil}}}}, true, false, 0},
	} {
		p := &Progress{}
		if done := noteCommit(p, test.results); done != test.done {
			t.Errorf("%s: done %v", name, done)
		}
		if at, touched := p.Need(); at != test.at || (touched == 0) != test.known {
			t.Errorf("%s: at %d, touched %d", name, at, touched)
		}
	}
}
