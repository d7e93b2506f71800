package pgtest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Main(m, func() error { return goleak.Find() })
}

func TestQuick(t *testing.T) {
	for _, v := range []int{0, 18} {
		t0 := time.Now()
		s := Start(t, Options{Version: v, Settings: map[string]string{"max_connections": "15"}})
		t.Log(s.URL, s.Version, time.Since(t0))
		t0 = time.Now()
		n, free := s.FillSlots(t, 0)
		t.Log(n, s.Sessions(context.Background(), "pgtest_filler"), time.Since(t0))
		free()
		t0 = time.Now()
		s.Restart(t)
		t.Log("restart", time.Since(t0))
		s.Kill(t)
		s.Restart(t)
		t.Log("kill restart", time.Since(t0), s.Sessions(context.Background(), ""))
		t0 = time.Now()
		s.Stop()
		t.Log("stop", time.Since(t0))
	}
	t.Log(Shared(t).URL, Shared(t).URL)
}
