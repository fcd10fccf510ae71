package ttc

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Values encoded by a driver: the same bytes must come out here, and decode to
// the same values.
func TestDriverValues(t *testing.T) {
	f, err := os.Open("testdata/values.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	seen := map[string]int{}
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		fields := strings.Fields(lines.Text())
		want, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		seen[fields[0]]++
		switch fields[0] {
		case "number":
			checkDriverNumber(t, fields[1], want)
		case "double":
			v, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			if got := AppendBinaryDouble(nil, v); !bytes.Equal(got, want) {
				t.Errorf("double %s: % x, want % x", fields[1], got, want)
			}
			if back, err := DecodeBinaryDouble(want); err != nil || back != v {
				t.Errorf("double % x: %v, error %v, want %s", want, back, err, fields[1])
			}
		case "float":
			v, err := strconv.ParseFloat(fields[1], 32)
			if err != nil {
				t.Fatal(err)
			}
			if got := AppendBinaryFloat(nil, float32(v)); !bytes.Equal(got, want) {
				t.Errorf("float %s: % x, want % x", fields[1], got, want)
			}
			if back, err := DecodeBinaryFloat(want); err != nil || back != float32(v) {
				t.Errorf("float % x: %v, error %v, want %s", want, back, err, fields[1])
			}
		}
	}
	if lines.Err() != nil || seen["number"] < 60 || seen["double"] < 10 || seen["float"] < 10 {
		t.Errorf("values seen: %v, error %v", seen, lines.Err())
	}
}

func checkDriverNumber(t *testing.T, text string, want []byte) {
	t.Helper()
	if got, err := AppendNumber(nil, text); err != nil || !bytes.Equal(got, want) {
		t.Errorf("number %s: % x (error %v), want % x", text, got, err, want)
	}
	back, err := DecodeNumber(want)
	if err != nil {
		t.Errorf("number % x: %v", want, err)
		return
	}
	a, okA := new(big.Rat).SetString(text)
	b, okB := new(big.Rat).SetString(back)
	if !okA || !okB || a.Cmp(b) != 0 {
		t.Errorf("number % x: %s, want %s", want, back, text)
	}
}

// The logins of the recorded sessions, checked again: what each driver made of
// a challenge proves the password it was given, and no other.
func TestRecordedLogins(t *testing.T) {
	for _, file := range recordedFiles(t) {
		turns, fieldVersion := readRecorded(t, file)
		l := newListener(fieldVersion)
		s := &speaker{l: l, cells: map[uint32][]Cell{}}
		for _, turn := range turns[:5] {
			if err := l.listen(turn.request); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if l.asked == FunctionAuthTwo {
				break
			}
			if _, err := s.repeat(turn.answer); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
		for _, password := range []string{"tiger", "lion"} {
			v := makeVerifier(VerifierType(s.challenge.Flags(KeyVerifierData)), password, fromHex(s.challenge.Value(KeyVerifierData)))
			half, err := decrypt(v.key(), fromHex(s.challenge.Value(KeySessionKey)))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			c := &Challenge{verifier: v, half: half, cskSalt: fromHex(s.challenge.Value(KeyCSKSalt))}
			if _, _, err := c.Check(&l.login); (err == nil) != (password == "tiger") {
				t.Errorf("%s: a login with tiger checked against %s: %v", file, password, err)
			}
		}
	}
}
