package handover

import (
	"encoding/binary"
	"io"
	"testing"
)

// pieces is a source that gives some bytes at a time, and no files.
type pieces struct {
	left []byte
	most int
	cut  bool // there were files, and no descriptors for them
}

func (p *pieces) receive(into []byte) (int, []int, bool, error) {
	if len(p.left) == 0 {
		return 0, nil, false, io.EOF
	}
	n := copy(into, p.left[:min(len(p.left), p.most)])
	p.left = p.left[n:]
	return n, nil, p.cut, nil
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("SBH1\x01\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00kind{}"), uint8(3), false)
	f.Add([]byte("SBH1\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), uint8(200), false)
	f.Add([]byte("SBH1\x02\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x03\xff\xff\xff\x00\x00\x00\x00"), uint8(24), false)
	f.Add([]byte("SBH1\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00SBH1\x06"), uint8(200), false)
	f.Add([]byte("SBH1\x02\x04\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00kind{}SBH1"), uint8(200), true)
	f.Fuzz(func(t *testing.T, in []byte, most uint8, cut bool) {
		from := &pieces{in, int(most) + 1, cut}
		for {
			head, before := from.left, len(from.left)
			got, err := readFrame(from)
			if err != nil {
				return
			}
			if promised := binary.BigEndian.Uint16(head[6:]); got.short != cut || cut != (promised > 0) || promised > MaxFiles {
				t.Fatalf("%d files that did not come, cut %v: %+v", promised, cut, got)
			}
			if n := headSize + len(got.kind) + len(got.body); before-len(from.left) != n || len(got.files) != 0 || len(got.kind) > maxKind || len(got.body) > MaxBody {
				t.Fatalf("%d bytes make a frame of %d: %+v", before-len(from.left), n, got)
			}
		}
	})
}

func TestEveryPrefixOfAFrameIsRejected(t *testing.T) {
	whole := "SBH1\x01\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00kind{}"
	for n := range len(whole) {
		if f, err := readFrame(&pieces{[]byte(whole[:n]), 7, false}); err == nil {
			t.Errorf("%d bytes: %+v", n, f)
		}
	}
	if f, err := readFrame(&pieces{[]byte(whole), 7, false}); err != nil || f.kind != "kind" || string(f.body) != "{}" {
		t.Errorf("%+v %v", f, err)
	}
}
