package console

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestTextsAreVisible(t *testing.T) {
	const said = "a\x1b[31m\x7f\u0085\u009b\u202e\u2028\u200b\U000e0041ü\n\t\"<\xff"
	var written bytes.Buffer
	e := json.NewEncoder(jsonWriter{&written})
	e.SetEscapeHTML(false)
	if err := e.Encode([]string{said, "plain"}); err != nil {
		t.Fatal(err)
	}
	var back []string
	if err := json.Unmarshal(written.Bytes(), &back); err != nil || len(back) != 2 || back[0] != said[:len(said)-1]+"\ufffd" || back[1] != "plain" {
		t.Errorf("%q comes back from %s, %v", back, written.Bytes(), err)
	}
	if i := bytes.IndexFunc(written.Bytes(), acts); i >= 0 {
		t.Errorf("something acts at %d of %q", i, written.Bytes())
	}
	if got := string(visibleHTML([]byte("<p>a\x1b[31m\u202e\n</p>"))); got != "<p>a\ufffd[31m\ufffd\n</p>" {
		t.Errorf("%q", got)
	}
	plain := []byte("<p>nothing is done to this</p>")
	if got := visibleHTML(plain); &got[0] != &plain[0] {
		t.Error("a page without such characters is copied")
	}
}
