package main

import (
	"context"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
)

func (w watchCmd) live(ctx context.Context, env lookup, t terminal, clients []*source.Client) int {
	return w.report(ctx, env, t, clients)
}
