package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"servicebroker/descriptor"
)

// What tnsping shows of an alias stands for the same as the alias, however that was written.
func TestAliasesAreShownAsTheyAre(t *testing.T) {
	for text, want := range map[string]string{
		"a=(X=1)": "(X=1)", "a =\n  (X =\n    (Y = 1)\n  )\n": "(X = (Y = 1))", "a = (X=(Y=1)\n\t(Z = 2))": "(X=(Y=1) (Z = 2))",
		"a = (X=\"(\")\n": `(X="(")`, "a = # note\n (X=1)\n": "(X=1)", "a = (X=(Y=1)) # (\n": "(X=(Y=1))", "\n\n  \na,b = (X=1)\nc=(X=2)\n": "(X=1)",
	} {
		entries, err := descriptor.ParseFile(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := textAt(text, entries[0]); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := textAt("", &descriptor.Node{Name: "a", Line: 7, Children: []*descriptor.Node{{Name: "X", Value: "1"}}}); got != "(X=1)" {
		t.Errorf("of another text: %q", got)
	}
}

func FuzzTextAt(f *testing.F) {
	f.Add("a = (X = (Y = 1)\n  (Z=2)\n)\n")
	f.Add("a=(X=\"(\")#)\nb=(")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := descriptor.ParseFile(text)
		if err != nil {
			return
		}
		for _, entry := range entries {
			shown := textAt(text, entry)
			if strings.ContainsAny(shown, "\n\r") && !strings.ContainsAny(printed(entry), "\n\r") {
				t.Errorf("%q: %q", text, shown)
			}
		}
	})
}

func TestVerbsAreFoundByTheirBeginning(t *testing.T) {
	m := new(cmctl)
	for word, want := range map[string]string{
		"show": "show", "SH": "show", "shut": "shutdown", "admin": "administer", "s": "save_passwd", "e": "exit", "q": "quit", "re": "reload", "res": "resume", "": "", "showx": "",
	} {
		v, found := find(m.verbs(), word)
		if v.name != want || found != (want != "") {
			t.Errorf("%q: %q, %v", word, v.name, found)
		}
	}
	for word, want := range map[string]string{"s": "services", "stat": "status", "stats": "stats", "conn": "connections", "a": "all", "adr": "adrbase", "service": "services", "gateway": "gateways"} {
		if v, _ := find(m.shows(), word); v.name != want {
			t.Errorf("show %s: %q, want %q", word, v.name, want)
		}
	}
}

func TestCmctlArguments(t *testing.T) {
	for line, want := range map[string]string{
		"show status": "show status|", "show status -c x": "show status|x", "-c x show status": "show status|x", "-p secret show -c x status": "show status|x", "--help": "help|", "": "|",
	} {
		words, instance, err := cmctlArguments(strings.Fields(line))
		if got := strings.Join(words, " ") + "|" + instance; err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{"-c", "show -p"} {
		if _, _, err := cmctlArguments(strings.Fields(line)); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
}

// A lock that somebody holds keeps another broker away; none at all does not.
func TestUnlocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if !unlocked(path) {
		t.Error("a lock that is not there is held")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // asking does not take it
		if !unlocked(path) {
			t.Error("a lock that nobody holds is held")
		}
	}
	holder, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if err := syscall.Flock(int(holder.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if unlocked(path) {
		t.Error("a lock that somebody holds is free")
	}
}

// tail shows the end of what a program wrote, and no more.
func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.log")
	if err := os.WriteFile(path, []byte("before\n"+strings.Repeat("x", 2*tailBytes)+"end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := (&starting{log: path, offset: 7}).tail(); len(got) > tailBytes || !strings.HasSuffix(got, "xend") {
		t.Errorf("%d bytes, …%q", len(got), got[max(0, len(got)-10):])
	}
	if got := (&starting{log: path, offset: 7 + 2*tailBytes}).tail(); got != "end" {
		t.Errorf("%q", got)
	}
	if got := (&starting{log: path + "x"}).tail(); !strings.Contains(got, "no such file") {
		t.Errorf("%q", got)
	}
}
