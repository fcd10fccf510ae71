package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// builtAs builds the program as a version of which tests alone know.
func builtAs(t *testing.T, folder, tag string) string {
	t.Helper()
	file := filepath.Join(folder, "broker-"+tag)
	if out, err := exec.Command("go", "build", "-tags", tag, "-o", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// A later version passes on more, and knows an older form besides its own; the last one knows its own alone.
func TestVersionsTakeOverFromEachOther(t *testing.T) {
	if testing.Short() {
		t.Skip("builds other versions of the program")
	}
	folder := t.TempDir()
	newer, apart := builtAs(t, folder, "nextformat"), builtAs(t, folder, "onlynextformat")
	r := startReal(t, nil)
	own, err := os.Readlink(r.program)
	if err != nil {
		t.Fatal(err)
	}
	become := func(file string) {
		t.Helper()
		if err := errors.Join(os.Remove(r.program), os.Symlink(file, r.program)); err != nil {
			t.Fatal(err)
		}
	}
	become(apart)
	if _, errs, code := command(t, "--api", r.api, "upgrade"); code != exitNo || !strings.Contains(errs, "no format in common") || r.newest().Number != 1 {
		t.Errorf("a version without a common format: %d %s, %+v", code, errs, r.newest())
	}
	for n, file := range []string{newer, own, newer, newer, apart} {
		become(file)
		says(t, []string{"--api", r.api, "upgrade"}, fmt.Sprintf("Generation %d serves", n+2))
	}
	if log := r.said(); !strings.Contains(log, `things of a later version" moved=1 stayed=0`) || !strings.Contains(log, `things of a later version" moved=0 stayed=1`) {
		t.Error("what an older version does not know was not declined, or a newer one did not take it")
	}
	says(t, []string{"--api", r.api, "shutdown", "--abort"}, "ends now")
}
