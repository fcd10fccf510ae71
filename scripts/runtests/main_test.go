package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const sample = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"noise of a passing test\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: node is not installed: run scripts/testdeps\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"fail","Package":"p","Elapsed":0.2}
{"Action":"pass","Package":"q","Elapsed":1.25}
{"Action":"skip","Package":"r"}
{"Action":"run","Package":"s","Test":"TestD"}
{"Action":"output","Package":"s","Test":"TestD","Output":"fatal error: all is lost\n"}
{"Action":"output","Package":"s","Output":"FAIL\ts\n"}
{"Action":"fail","Package":"s"}
{"Action":"output","Package":"t","Output":"FAIL\tt [build failed]\n"}
{"Action":"fail","Package":"t"}
not json at all
`

func TestSummary(t *testing.T) {
	var out strings.Builder
	res := read(strings.NewReader(sample), &out)
	res.summarise(&out)
	want := `    c_test.go:9: got 1, want 2
FAIL
ok    q  1.2s
fatal error: all is lost
FAIL	s
FAIL	t [build failed]
not json at all

Skipped:
  p TestB: node is not installed: run scripts/testdeps

Failed:
  p TestC
      c_test.go:9: got 1, want 2
  s TestD: ended in the middle of it
  t as a whole

1 passed, 3 failed, 1 skipped
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestSaid(t *testing.T) {
	output := []string{"=== RUN   T\n", "    a_test.go:1: too early\n", "time=now msg=\"a_test.go:1: quoted\"\n"}
	want := []string{}
	for i := range 9 {
		output = append(output, fmt.Sprintf("        b_test.go:%d: word\n", i), "            more of it\n")
		want = append(want, fmt.Sprintf("b_test.go:%d: word", i))
	}
	output = append(output, "    c_test.go:2: "+strings.Repeat("é", 200)+"\n", "--- FAIL: T (0.00s)\n")
	want = append(want, "c_test.go:2: "+strings.Repeat("é", 143)+"…")
	if got := said(output); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReason(t *testing.T) {
	for _, c := range []struct {
		output []string
		want   string
	}{
		{nil, "no reason given"},
		{[]string{"=== RUN   T\n", "--- SKIP: T (0.00s)\n"}, "no reason given"},
		{[]string{"    a_test.go:1: because: of this\n"}, "because: of this"},
		{[]string{"plain words\n"}, "plain words"},
	} {
		if got := reason(c.output); got != c.want {
			t.Errorf("reason(%q) = %q, want %q", c.output, got, c.want)
		}
	}
}
