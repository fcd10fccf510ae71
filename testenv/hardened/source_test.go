package hardened

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sources calls do with each source file of the module that is to do with a test or not.
func sources(t *testing.T, tests bool, do func(path string)) {
	t.Helper()
	must(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".." || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".go") && strings.HasSuffix(path, "_test.go") == tests {
			do(path)
		}
		return err
	}))
}

// secretNames are names of what is compared with what somebody sent to show who he is.
var secretNames = regexp.MustCompile(`(?i)(password|passwd|secret|token|mac|hmac|signature|verifier)$`)

// named is the last name of an operand, "" if it has none.
func named(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.CallExpr:
		return named(e.Fun)
	case *ast.IndexExpr:
		return named(e.X)
	}
	return ""
}

// plainly tells whether an expression is a literal, nil or a constant of another sort.
func plainly(e ast.Expr) bool {
	_, literal := e.(*ast.BasicLit)
	id, is := e.(*ast.Ident)
	return literal || is && (id.Name == "nil" || id.Name == "true" || id.Name == "false")
}

// comparisons are those of secrets in a file that take longer the more of them is right: ==, and functions that compare as it does.
func comparisons(file *ast.File) (all []token.Pos) {
	ast.Inspect(file, func(n ast.Node) bool {
		var operands []ast.Expr
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				operands = []ast.Expr{n.X, n.Y}
			}
		case *ast.CallExpr:
			if f, is := n.Fun.(*ast.SelectorExpr); is && len(n.Args) == 2 {
				of := named(f.X) + "." + f.Sel.Name
				if of == "bytes.Equal" || of == "bytes.Compare" || of == "strings.EqualFold" || of == "strings.Compare" || of == "slices.Equal" {
					operands = n.Args
				}
			}
		}
		if len(operands) == 2 && !plainly(operands[0]) && !plainly(operands[1]) && (secretNames.MatchString(named(operands[0])) || secretNames.MatchString(named(operands[1]))) {
			all = append(all, n.Pos())
		}
		return true
	})
	return all
}

// Secrets are compared by subtle.ConstantTimeCompare, hmac.Equal or as keys of hashes alone.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	files := 0
	sources(t, false, func(path string) {
		if strings.Contains(path, "/testenv/") || strings.Contains(path, "/cmd/") { // whose user has the secrets himself
			return
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		must(t, err)
		for _, at := range comparisons(file) {
			t.Errorf("%v compares a secret: use subtle.ConstantTimeCompare or hmac.Equal", set.Position(at))
		}
	})
	if files < 100 {
		t.Errorf("%d files were looked at", files)
	}
	wrong := `package p
func f(password, b string, k struct{ Secret, MAC []byte }) bool {
	return password == b || b != password || bytes.Equal(k.Secret, x) || strings.EqualFold(b, Token()) || password == "" || nil != k.MAC || len(password) == 3
}`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", wrong, 0)
	must(t, err)
	if found := comparisons(file); len(found) != 4 {
		t.Errorf("%d of 4 comparisons are found", len(found))
	}
}

// The tests that docs/threat-model.md names are there.
func TestPromisesHaveTests(t *testing.T) {
	page, err := os.ReadFile("../../docs/threat-model.md")
	must(t, err)
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	sources(t, true, func(path string) {
		text, err := os.ReadFile(path)
		must(t, err)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			there[m[1]] = true
		}
	})
	promised := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(page), -1)
	for _, m := range promised {
		if !there[m[1]] {
			t.Errorf("there is no %s", m[1])
		}
	}
	if len(promised) < 50 {
		t.Errorf("%d tests are named", len(promised))
	}
}
