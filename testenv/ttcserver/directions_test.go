package ttcserver

import (
	"fmt"
	"strings"
	"testing"
)

func TestOnlyAssigned(t *testing.T) {
	for _, test := range []struct{ block, names, want string }{
		{"begin :o := :i * 2; end;", "O I", "[true false]"},
		{"begin :x := :x || 'y'; end;", "X", "[false]"},
		{"begin :a:=1;:b :=2; if :b > 1 then null; end if; end;", "A B", "[true false]"},
		{"begin p(:a, :b); end;", "A B", "[false false]"},
		{"begin select a, b into :x, :y from t where c = :z; end;", "X Y Z", "[true true false]"},
		{"begin insert into t values (:a); merge into :b; end;", "A B", "[false false]"},
		{"begin /* :c */ -- :d\n :a := ':b'; :e := \":b := 1\"; end;", "A E", "[true true]"},
		{`begin :"Mixed" := 1; :Mixed := 2; end;`, "MIXED", "[true]"},
		{"begin update t set a = 1 returning b into :x; :y := :x; end;", "X Y", "[false true]"},
		{"begin :x", "X", "[false]"},
		{"into :x", "X", "[true]"},
		{"", "X", "[false]"},
	} {
		got := fmt.Sprint(onlyAssigned(test.block, strings.Fields(test.names)))
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.block, got, test.want)
		}
	}
}

func FuzzOnlyAssigned(f *testing.F) {
	for _, block := range []string{"begin :o := :i; end;", "'", `:"`, "/*", "--", ":=", ":", "into into :x,"} {
		f.Add(block)
	}
	f.Fuzz(func(t *testing.T, block string) {
		if got := onlyAssigned(block, []string{"X", "X"}); len(got) != 2 || got[0] != got[1] {
			t.Errorf("%q: %v", block, got)
		}
	})
}
