package dbpoolprom

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// The pool's words for why a dial failed are the constants of one type. Every
// one of them must be a value of the label, or it would hide behind "other".
func TestEveryReasonOfThePoolIsListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../pool/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := reasonsIn(file)
	if len(found) < 10 {
		t.Fatalf("only %q found: the pool keeps its reasons elsewhere now", found)
	}
	for _, r := range found {
		if !slices.Contains(serverReasons(), r) {
			t.Errorf("%q is not listed", r)
		}
	}
	for _, r := range serverReasons() {
		if r != reasonOther && !slices.Contains(found, r) {
			t.Errorf("%q is listed, and the pool never says it", r)
		}
	}
}

// reasonsIn finds the constants of the type Reason.
func reasonsIn(file *ast.File) (found []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != "Reason" {
			return true
		}
		for _, v := range spec.Values {
			word, _ := strconv.Unquote(v.(*ast.BasicLit).Value)
			found = append(found, word)
		}
		return true
	})
	return found
}
