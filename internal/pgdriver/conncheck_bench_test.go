package pgdriver

import (
	"net"
	"testing"
)

// BenchmarkLook is what it costs to see that the server is still there.
func BenchmarkLook(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	hole := newConnCheck(c)
	b.ReportAllocs()
	for b.Loop() {
		if !hole.isQuiet() {
			b.Fatal("something has arrived")
		}
	}
}
