package tns

import "fmt"

// VersionNumber is the number of a release as VSNNUM carries it (tns.md 3):
// VersionNumber(19) is 19.0.0.0.0, VersionNumber(11, 2, 0, 4) is 11.2.0.4.0. Up to five
// parts count, the second and the fourth up to 15.
func VersionNumber(parts ...uint8) uint32 {
	var p [5]uint32
	for i, part := range parts[:min(len(parts), len(p))] {
		p[i] = uint32(part)
	}
	return p[0]<<24 | p[1]&0xf<<20 | p[2]<<12 | p[3]&0xf<<8 | p[4]
}

// VersionText is the release of a VSNNUM in its usual form, "19.0.0.0.0".
func VersionText(vsnnum uint32) string {
	return fmt.Sprintf("%d.%d.%d.%d.%d", vsnnum>>24, vsnnum>>20&0xf, vsnnum>>12&0xff, vsnnum>>8&0xf, vsnnum&0xff)
}
