package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"servicebroker/testenv/fuzzing"
)

// FuzzWarmLines reads tables whose lines have right sums, so that what is in them is looked at: however many
// lines are lost at the end, what is read was in the file, and reading takes no more than its length.
func FuzzWarmLines(f *testing.F) {
	f.Add(`{"file":{"format":1}}`+"\n"+`{"key":"a","entry":{}}`+"\n"+`{"fact":{"lines":1}}`, uint16(3))
	f.Add(`{"file":{"format":99}}`, uint16(0))
	f.Add(`{"file":{},"fact":{}}`, uint16(0))
	f.Add(`{"file":{"format":1},"fact":{}}`+"\n"+`{"file":{},"fact":{}}`, uint16(0))
	f.Add(`{"file":{"format":1},"fact":{}}`+"\n"+`{"file":{"format":-1},"fact":{}}`, uint16(45))
	f.Add(`{"file":{"format":1}}`+"\n"+`{"fact":{"lines":1}}`+"\n"+`{"file":{"format":99}}`, uint16(61))
	f.Add(`{"file":{"format":1}}`+"\n"+`{"key":"a","instance":{"registration":{"format":1,"id":"a"},"heard":"2026-01-01T00:00:00+24:00"}}`+"\n"+`{"fact":{"as_of":"2026-01-01T00:00:00+24:00","lines":2}}`, uint16(9))
	f.Add(strings.Repeat(`{"file":null,"fact":{}}`+"\n", 3), uint16(9))
	if content, _ := grown(f, f.TempDir()+"/"+warmName); len(content) > 0 {
		var lines []string
		for line := range bytes.Lines(content) {
			lines = append(lines, string(bytes.TrimSuffix(line[min(len(line), sumDigits+1):], []byte("\n"))))
		}
		f.Add(strings.Join(lines[:min(len(lines), 12)], "\n"), uint16(40))
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string, cut uint16) {
		var file []byte
		lines := strings.Split(text, "\n")
		for _, line := range lines {
			file = fmt.Appendf(file, "%x %s\n", sumOf([]byte(line)), line)
		}
		var read warmRead
		var err error
		fuzzing.Bounded(t, len(file), func() { read, err = decodeWarm(file, now) })
		if len(read.entries) > len(lines) || err == nil && read.head.Format != warmFormat {
			t.Fatalf("%d entries of %d lines, %v", len(read.entries), len(lines), err)
		}
		for _, e := range read.entries {
			if _, err := json.Marshal(e); err != nil {
				t.Fatalf("it is read, and cannot be written: %v", err)
			}
		}
		again, againErr := decodeWarm(bytes.Clone(file), now)
		if (err == nil) != (againErr == nil) || len(again.entries) != len(read.entries) {
			t.Fatalf("%v and %v", err, againErr)
		}
		part, partErr := decodeWarm(file[:int(cut)%(len(file)+1)], now)
		if len(part.entries) > len(lines) || partErr == nil && part.head.Format != warmFormat {
			t.Fatalf("cut off it has %d entries, %+v: %v", len(part.entries), part.head, partErr)
		}
	})
}
