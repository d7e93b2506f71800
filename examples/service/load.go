package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	loadEvery  = 25 * time.Millisecond // one request each: 40 a second
	loadAtOnce = 16                    // requests under way; more than the pool has connections
)

// drive sends this service a mix of requests, bounded in rate, number and time,
// until ctx ends.
func drive(ctx context.Context, base string, lasts time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	log.Info("load begins", "every_seconds", loadEvery.Seconds(), "at_once", loadAtOnce, "lasts_seconds", lasts.Seconds())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadAtOnce}}
	defer client.CloseIdleConnections()
	var running sync.WaitGroup
	defer running.Wait()
	places := make(chan struct{}, loadAtOnce)
	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		select {
		case places <- struct{}{}:
			running.Go(func() {
				defer func() { <-places }()
				send(ctx, client, base)
			})
		default: // all under way: this one is left out
		}
	}
}

// send makes one request. Its outcome is the status page's business.
func send(ctx context.Context, client *http.Client, base string) {
	method, path, body := pick(rand.IntN(100), time.Now().Unix()%30 < 10)
	req, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
	if err != nil {
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
}

// pick chooses a request by n, from 0 to 99. In busy times, ten seconds of each
// thirty, a quarter are slow reports, else one in ten.
func pick(n int, busy bool) (method, path, body string) {
	reports := 10
	if busy {
		reports = 25
	}
	items := []string{"tea", "coffee", "cocoa", "milk", "honey"}
	switch {
	case n == 0:
		return http.MethodPost, "/jobs/totals", ""
	case n <= reports:
		return http.MethodGet, fmt.Sprintf("/orders/report?seconds=%.2f", 0.1+1.4*rand.Float64()), ""
	case n < 60:
		return http.MethodGet, "/orders", ""
	default:
		return http.MethodPost, "/orders", fmt.Sprintf(`{"item":%q,"quantity":%d}`, items[rand.IntN(len(items))], 1+rand.IntN(9))
	}
}
