package console

import (
	"bytes"
	"testing"
)

func TestStatsText(t *testing.T) {
	var b bytes.Buffer
	if err := WriteStats(&b, Stats{Sessions: 7, Peak: 9, Total: 120, Redirected: 3, Refused: 4, Held: 2, Max: 100, FromClient: 12_345, ToClient: 9}); err != nil {
		t.Fatal(err)
	}
	const want = `Open sessions             7 of at most 100
Most at once              9
Sessions since the start  120
Connects redirected       3
Connects refused          4
Connects on hold          2
Bytes from clients        12 kB
Bytes to clients          9 B
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	if err := WriteStats(&b, Stats{Sessions: 7}); err != nil || !bytes.Contains(b.Bytes(), []byte("Open sessions             7\nMost at once              7\n")) {
		t.Errorf("%s, %v", b.String(), err)
	}
	if WriteStats(full{}, Stats{}) == nil {
		t.Error("a full disk goes unnoticed")
	}
}
