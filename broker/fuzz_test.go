package broker

import (
	"os"
	"strings"
	"testing"
)

// Whatever the text, reading it ends, says where, and gives a configuration or an error.
func FuzzReadConfig(f *testing.F) {
	for _, text := range []string{"", whole, reloaded, "CMAN=(CONFIGURATION=" + goodAddress + goodRules + ")", listenerFile, aliasFile,
		"A=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1)\n(RULE_LIST=(RULE=(SRC=*)(RULE=", "IFILE=x\nIFILE=cman.ora\n", "CMAN=(ADDRESS=)\nCMAN_RULES=((RULE=)(RULE=x))\nPARAMETER_LIST=(x)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		c, messages := readConfig("cman.ora", "", func(path string) (string, error) {
			if path == "cman.ora" {
				return text, nil
			}
			return "", os.ErrNotExist
		})
		if (c == nil) != (messages.Err() != nil) {
			t.Errorf("config %v, messages %v", c, messages)
		}
		for _, m := range messages {
			if m.Line < 1 || m.Column < 1 || m.Line > lines || m.Text == "" || strings.ContainsAny(m.Text, "\n\r") && !strings.ContainsAny(text, "\n\r") {
				t.Errorf("%q", m.String())
			}
		}
		if c != nil && len(c.Addresses) != len(c.Listening) {
			t.Errorf("%d addresses, %d settings", len(c.Addresses), len(c.Listening))
		}
	})
}
