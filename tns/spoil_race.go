//go:build race

package tns

import "bytes"

// spoiled is what a buffer holds that is nobody's.
const spoiled = 0xdb

// spoil makes what is in a buffer useless, so that whoever still reads what was given back is found out.
func spoil(b *[firstBuffer]byte) { copy(b[:], bytes.Repeat([]byte{spoiled}, len(b))) }
