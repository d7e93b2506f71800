package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

// A check is printed when it is known, and all are once more at the end, also of a run
// that was given up.
func TestChecksPrintAsTheyGo(t *testing.T) {
	out := &bytes.Buffer{}
	c := &checks{out: out}
	c.check(true, "%d is even", 2)
	c.check(false, "%d is even", 3)
	if out.String() != "  ok     2 is even\n  FAILED 3 is even\n" {
		t.Errorf("%q", out)
	}
	out.Reset()
	err := c.conclude(context.Canceled)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "3 is even") {
		t.Errorf("%v", err)
	}
	if want := "```text\n  ok     2 is even\n  FAILED 3 is even\n```\n"; !strings.HasSuffix(out.String(), want) || !strings.Contains(out.String(), "The 2 checks so far") {
		t.Errorf("%q", out)
	}
	if err := (&checks{out: out}).conclude(nil); err != nil || !strings.Contains(out.String(), "All 0 checks") {
		t.Errorf("%v, %q", err, out)
	}
}
