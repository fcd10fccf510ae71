package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"servicebroker/broker"
)

func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodFile = `CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1600))
(RULE_LIST=(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))(RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept)))
(PARAMETER_LIST=(POLICY=sessions)))
CMAN2=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1601))(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=deny))))
`

func TestCheckSaysYesOrNo(t *testing.T) {
	file := written(t, "cman.ora", goodFile)
	out, errs, code := command(t, "check", file, "CMAN1")
	if code != exitDone || errs != "" || out != file+": instance CMAN1 would start: nothing to say\n" {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
	out, errs, code = command(t, "check", file, "cman2")
	if code != exitNo || !strings.Contains(out, file+":4:108: error: ACT=") || !strings.Contains(out, "did you mean reject?") || !strings.Contains(errs, "the broker would not start with "+file+": 1 error") {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
	if out, errs, code = command(t, "check", "/nonexistent/cman.ora"); code != exitNo || !strings.Contains(out, "/nonexistent/cman.ora:1:1: error: cannot be read") {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
}

func TestCheckInJSON(t *testing.T) {
	file := written(t, "cman.ora", goodFile)
	for _, c := range []struct {
		instance string
		ok       bool
		code     int
	}{{"CMAN1", true, exitDone}, {"CMAN2", false, exitNo}} {
		out, _, code := command(t, "--output", "json", "check", file, c.instance)
		var result checkResult
		if err := json.Unmarshal([]byte(out), &result); err != nil || code != c.code || result.OK != c.ok || result.File != file || result.Messages == nil {
			t.Errorf("%d, %s, %v", code, out, err)
		}
		if !c.ok && (len(result.Messages) == 0 || result.Messages[0].Line != 4 || result.Messages[0].Severity != broker.SeverityError) {
			t.Errorf("%+v", result.Messages)
		}
	}
}

func TestCheckTellsWhatWouldChange(t *testing.T) {
	_, api := runBroker(t)
	file := written(t, "cman.ora", goodFile)
	out, errs, code := command(t, "--api", api, "check", "--diff", file, "CMAN1")
	if code != exitDone || errs != "" {
		t.Errorf("%d, %q", code, errs)
	}
	for _, want := range []string{
		"CMAN1 would start", "A reload puts in force:\n  POLICY: adaptive → sessions (" + file + ":3)", "  + 1 (RULE=(SRC=*)(DST=db1)(SRV=*)(ACT=accept)) (" + file + ":2)",
		"broker upgrade (or a restart) is needed for:\n  ADDRESS: (ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0)) → (ADDRESS=(PROTOCOL=tcp)(HOST=cman1)(PORT=1600)) (" + file + ":1)",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nwant %s", out, want)
		}
	}
	out, _, _ = command(t, "--api", api, "--output", "json", "check", "--diff", file, "CMAN1")
	var result checkResult
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Difference == nil || len(result.Difference.Now) != 1 || result.Difference.Now[0].Name != "POLICY" {
		t.Errorf("%s, %v", out, err)
	}
	out, errs, code = command(t, "--api", "http://127.0.0.1:1", "check", "--diff", file, "CMAN1")
	if code != exitUnreachable || !strings.Contains(out, "CMAN1 would start") || errs == "" {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
}

func TestConvertPrintsAFileThatLoads(t *testing.T) {
	listener := written(t, "listener.ora", "LISTENER=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))\nSID_LIST_LISTENER=(SID_LIST=(SID_DESC=(SID_NAME=sales1)(GLOBAL_DBNAME=sales)))\n")
	names := written(t, "tnsnames.ora", "HR=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db2)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=hr)))\n")
	out, errs, code := command(t, "convert", listener, names)
	if code != exitDone || !strings.HasPrefix(out, "# Made by broker convert from listener.ora, tnsnames.ora.\n") || !strings.Contains(errs, listener+":2:30: notice: sales became a static service") {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
	c, messages := broker.ReadConfig(written(t, "cman.ora", out), "")
	if c == nil || len(c.StaticServices) != 2 || c.Name != "LISTENER" {
		t.Errorf("%+v, %v", c, messages)
	}
	out, _, code = command(t, "--output", "json", "convert", names)
	if code != exitDone || !strings.Contains(out, `"text": "# Made by broker convert`) || !strings.Contains(out, `"messages": []`) {
		t.Errorf("%d, %s", code, out)
	}
	out, errs, code = command(t, "convert", written(t, "tnsnames.ora", "HR=(DESCRIPTION=\n"))
	if code != exitNo || out != "" || !strings.Contains(errs, ":1:4: error: ") {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
}
