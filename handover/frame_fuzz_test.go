package handover

import (
	"io"
	"testing"
)

// pieces is a source that gives some bytes at a time, and no files.
type pieces struct {
	left []byte
	most int
}

func (p *pieces) receive(into []byte) (int, []int, error) {
	if len(p.left) == 0 {
		return 0, nil, io.EOF
	}
	n := copy(into, p.left[:min(len(p.left), p.most)])
	p.left = p.left[n:]
	return n, nil, nil
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("SBH1\x01\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00kind{}"), uint8(3))
	f.Add([]byte("SBH1\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), uint8(200))
	f.Add([]byte("SBH1\x02\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x03\xff\xff\xff\x00\x00\x00\x00"), uint8(24))
	f.Add([]byte("SBH1\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00SBH1\x06"), uint8(200))
	f.Fuzz(func(t *testing.T, in []byte, most uint8) {
		from := &pieces{in, int(most) + 1}
		for {
			before := len(from.left)
			got, err := readFrame(from)
			if err != nil {
				return
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
		if f, err := readFrame(&pieces{[]byte(whole[:n]), 7}); err == nil {
			t.Errorf("%d bytes: %+v", n, f)
		}
	}
	if f, err := readFrame(&pieces{[]byte(whole), 7}); err != nil || f.kind != "kind" || string(f.body) != "{}" {
		t.Errorf("%+v %v", f, err)
	}
}
