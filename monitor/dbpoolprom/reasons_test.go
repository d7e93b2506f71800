package dbpoolprom

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// The pool's words for why a dial failed are in one file of its source. Every
// one of them must be a value of the label, or it would hide behind "other".
func TestEveryReasonOfThePoolIsListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../pool/sqlstate.go", nil, 0)
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

// reasonsIn finds trouble{reason: "…"} and t.reason = "…".
func reasonsIn(file *ast.File) (found []string) {
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok {
			word, _ := strconv.Unquote(lit.Value)
			found = append(found, word)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "reason" {
				add(n.Value)
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if field, ok := left.(*ast.SelectorExpr); ok && field.Sel.Name == "reason" && i < len(n.Rhs) {
					add(n.Rhs[i])
				}
			}
		}
		return true
	})
	return found
}
