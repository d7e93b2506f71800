package stack

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

// names of the functions that pcs belong to; those that the compiler made up,
// to start a goroutine, do not count.
func names(pcs []uintptr) (list []string) {
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		if !strings.Contains(f.Function, "gowrap") {
			list = append(list, f.Function[strings.LastIndexByte(f.Function, '/')+1:])
		}
		if !more {
			return list
		}
	}
}

//go:noinline
func outer(capture func([]uintptr) int) []string { return middle(capture) }

func middle(capture func([]uintptr) int) []string { return inner(capture) } // is inlined

//go:noinline
func inner(capture func([]uintptr) int) []string {
	pcs := make([]uintptr, 32)
	return names(pcs[:capture(pcs)])
}

// fromInner is the part of a stack that begins with inner.
func fromInner(list []string) []string {
	return list[slices.Index(list, "stack.inner"):]
}

func TestCallersAgreesWithTheRuntime(t *testing.T) {
	want := fromInner(outer(func(pcs []uintptr) int { return runtime.Callers(0, pcs) }))
	for name, callers := range map[string]func(int, []uintptr) int{"Callers": Callers, "portable": portable} {
		got := fromInner(outer(func(pcs []uintptr) int { return callers(0, pcs) }))
		if len(want) < 5 || !slices.Equal(got, want) {
			t.Errorf("%s\n got %v\nwant %v", name, got, want)
		}
	}
}

//go:noinline
func skipping(n int) []string {
	pcs := make([]uintptr, 1)
	return names(pcs[:Callers(n, pcs)])
}

//go:noinline
func caller(n int) []string { return skipping(n) }

func TestCallersSkips(t *testing.T) {
	for skip, want := range []string{"stack.caller", "stack.TestCallersSkips", "testing.tRunner"} {
		if got := caller(skip); got[0] != want {
			t.Errorf("skip %d: %s, want %s", skip, got[0], want)
		}
	}
}

func TestCallersFillsWhatThereIs(t *testing.T) {
	if n := Callers(0, nil); n != 0 {
		t.Errorf("%d in nothing", n)
	}
	if n := Callers(1000, make([]uintptr, 4)); n != 0 {
		t.Errorf("%d beyond the end", n)
	}
	done := make(chan int)
	go func() { done <- Callers(0, make([]uintptr, 32)) }()
	if n := <-done; n > 2 {
		t.Errorf("%d above the first function of a goroutine", n)
	}
}

// Stacks that grow are moved, and the frame pointers on them.
func TestCallersOnAGrowingStack(t *testing.T) {
	var deep func(n int) int
	deep = func(n int) int {
		var room [512]byte
		if n > 0 {
			return deep(n-1) + int(room[n%512])
		}
		return Callers(0, make([]uintptr, 2048))
	}
	for range 100 {
		done := make(chan int)
		go func() { done <- deep(1000) }()
		if n := <-done; n < 1000 || n > 1010 {
			t.Fatalf("%d frames", n)
		}
	}
}

func BenchmarkCallers(b *testing.B) {
	pcs := make([]uintptr, 8)
	b.Run("stack", func(b *testing.B) {
		for b.Loop() {
			Callers(0, pcs)
		}
	})
	b.Run("runtime", func(b *testing.B) {
		for b.Loop() {
			runtime.Callers(0, pcs)
		}
	})
}
