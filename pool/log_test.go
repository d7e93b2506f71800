package pool

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Durations in log lines are seconds and say so: no attribute's value is made by
// time.Since or Round, and a key that tells of time ends in _seconds.
func TestLogAttributesAreInSeconds(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !logs(call) {
				return true
			}
			lines++
			for _, arg := range call.Args {
				key, ok := arg.(*ast.BasicLit)
				if ok && (key.Value == `"held"` || key.Value == `"after"` || key.Value == `"duration"` || key.Value == `"waited"`) {
					t.Errorf("%s: the attribute %s does not end in _seconds", name, key.Value)
				}
				if f, ok := arg.(*ast.CallExpr); ok {
					if s, ok := f.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "Since" || s.Sel.Name == "Round") {
						t.Errorf("%s: a duration is logged as it is", name)
					}
				}
			}
			return true
		})
	}
	if lines < 10 {
		t.Errorf("%d log lines looked at: the test is blind", lines)
	}
}

func logs(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	on, ok := f.X.(*ast.SelectorExpr)
	return ok && on.Sel.Name == "log"
}
