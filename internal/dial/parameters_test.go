package dial

import (
	"fmt"
	"maps"
	"testing"
)

func TestMoveParameters(t *testing.T) {
	for _, c := range []struct {
		sent, left  map[string]string
		suffix, pin string
	}{
		{map[string]string{"application_name": "a", "TimeZone": "UTC"}, map[string]string{"application_name": "a", "TimeZone": "UTC"}, "", "[]"},
		{map[string]string{"statement_timeout": "30000", "lock_timeout": "5s"}, nil, "; set local lock_timeout = '5s'; set local statement_timeout = '30000'", "[]"},
		{map[string]string{"options": `-c search_path=a\ b --Lock-timeout=1`}, nil, "; set local lock_timeout = '1'", "[{search_path a b}]"},
		{map[string]string{"options": "endpoint=x -c jit=off"}, map[string]string{"options": "endpoint=x"}, "", "[{jit off}]"},
		{map[string]string{"options": "-c work_mem=1", "work_mem": "2"}, nil, "", "[{work_mem 2}]"}, // the server lets the parameter win
		{map[string]string{"lock_timeout": "1'; drop table t; --"}, nil, "", "[{lock_timeout 1'; drop table t; --}]"},
	} {
		got := maps.Clone(c.sent)
		suffix, pinned := moveParameters(got)
		if suffix != c.suffix || fmt.Sprint(pinned) != c.pin || !maps.Equal(got, c.left) {
			t.Errorf("%v: %q, %v, left %v", c.sent, suffix, pinned, got)
		}
	}
}

func TestSameSetting(t *testing.T) {
	if !sameSetting(`a,"b"`, "a, b") || sameSetting("a", "b") || sameSetting("", "a") {
		t.Error("compared wrongly")
	}
}
