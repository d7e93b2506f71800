package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTheFileIsWhatIsGenerated(t *testing.T) {
	want, err := os.ReadFile("../../pool/middleware_writers.go")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := generate(&got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("pool/middleware_writers.go is not what is generated; run go generate ./pool")
	}
}
