package report

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/sample"
	"github.com/dbpool-go/dbpool/monitor/cmd/dbmonitor/internal/source"
	"github.com/dbpool-go/dbpool/monitor/statusjson"
)

// replies answers every request with one body, without a network.
type replies []byte

func (r replies) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{}, Request: req, Body: io.NopCloser(bytes.NewReader(r))}, nil
}

// Whatever a server answers, the report is made of printable lines.
func FuzzReport(f *testing.F) {
	for _, s := range []*statusjson.Status{sample.Healthy(), sample.Busy(), sample.Down(), sample.Crowded(), sample.Shared()} {
		doc, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
		f.Add(bytes.ReplaceAll(doc, []byte(`":1`), []byte(`":-9223372036854775808`)))
		f.Add(bytes.ReplaceAll(doc, []byte(`orders`), []byte(`\u001b[2J\u009b31m\u202e\n`)))
		f.Add(bytes.ReplaceAll(doc, []byte(`2026`), []byte(`9999`)))
	}
	f.Add([]byte(`{"service":"dbpool","pool":null,"holders":[{}],"events":[{}],"queries":{"longest":[{}]},"server":{"view":{}}}`))
	f.Add([]byte(`{"service":"dbpool"}`))
	target, err := source.ParseTarget("http://h")
	if err != nil {
		f.Fatal(err)
	}
	busy := snap(sample.Busy())
	f.Fuzz(func(t *testing.T, body []byte) {
		c := source.NewClientWith(target, replies(body), time.Minute)
		now := c.Fetch(context.Background(), -1)
		for _, pair := range [][2]*source.Snapshot{{&now, nil}, {&now, &busy}, {&busy, &now}, {&now, &now}} {
			var out bytes.Buffer
			r := New(*pair[0], pair[1])
			if err := (Text{Marks: true}).Write(&out, r); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
				t.Errorf("unprintable: %q", out.String())
			}
			if n := strings.Count(out.String(), "\n"); n != len(r.Rows)+1 {
				t.Errorf("%d lines for %d rows", n, len(r.Rows))
			}
			if err := WriteJSON(io.Discard, r); err != nil {
				t.Error(err)
			}
		}
	})
}
