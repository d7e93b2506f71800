package pool

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// conner is what generated code and wrappers of a pool embed.
type conner interface {
	Conn(context.Context) (*sql.Conn, error)
}

type (
	embeds      struct{ conner } // its Conn is made by the compiler
	embedsTwice struct{ embeds }
	helper      struct{ in conner }
)

//go:noinline
func (h helper) Conn(ctx context.Context) (*sql.Conn, error) {
	c, err := h.in.Conn(ctx)
	return c, err
}

// TestCallerBehindHelpers names who asked, whatever stands between.
func TestCallerBehindHelpers(t *testing.T) {
	const ours = "github.com/dbpool-go/dbpool/pool.helper."
	for what, c := range map[string]struct {
		wrap func(*Pool) conner
		opts []Option
		want string // "" is the line that asks
	}{
		"nothing":                    {func(p *Pool) conner { return p }, nil, ""},
		"an embedded interface":      {func(p *Pool) conner { return embeds{p} }, nil, ""},
		"two of them":                {func(p *Pool) conner { return &embedsTwice{embeds{p}} }, nil, ""},
		"a helper":                   {func(p *Pool) conner { return helper{p} }, nil, "pool/caller_test.go:25"},
		"a helper that is plumbing":  {func(p *Pool) conner { return helper{p} }, []Option{WithPlumbing("other."), WithPlumbing(ours)}, ""},
		"both":                       {func(p *Pool) conner { return embeds{helper{embeds{p}}} }, []Option{WithPlumbing(ours)}, ""},
		"many helpers, all plumbing": {func(p *Pool) conner { return helper{helper{helper{helper{p}}}} }, []Option{WithPlumbing(ours)}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			p := openShared(t, 1, 0, nil, c.opts...)
			defer p.Close()
			db := c.wrap(p)
			_, _, line, _ := runtime.Caller(0)
			held, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer held.Close()
			want := c.want
			if want == "" {
				want = fmt.Sprintf("pool/caller_test.go:%d", line+1)
			}
			h := p.Holders(0)[0]
			if h.Caller != want || len(h.Stack) == 0 || !strings.HasSuffix(h.Stack[0], want) {
				t.Errorf("caller %s, want %s; stack %q", h.Caller, want, h.Stack)
			}
		})
	}
}
