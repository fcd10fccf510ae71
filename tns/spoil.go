//go:build !race

package tns

// spoil does nothing where nobody looks for races.
func spoil(*[firstBuffer]byte) {}
