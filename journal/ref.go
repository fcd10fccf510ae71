package journal

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// refAlphabet leaves out what people confuse when they read a code aloud or retype it.
const refAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// RefSize is the length of a Ref in characters.
const RefSize = 8

// refs gives out codes: a counter, scrambled by a permutation of all 40-bit numbers that only this journal knows. So no
// code comes twice, and none tells the next.
type refs struct {
	once  sync.Once
	seed  maphash.Seed
	count atomic.Uint64
}

// NewRef returns a code that no explanation of this journal has, for one that will be kept or a refusal that names it.
func (j *Journal) NewRef() string {
	j.refs.once.Do(func() { j.refs.seed = maphash.MakeSeed() })
	n := scramble(j.refs.seed, j.refs.count.Add(1))
	var code [RefSize]byte
	for i := range code {
		code[i] = refAlphabet[n%32]
		n /= 32
	}
	return string(code[:])
}

// scramble maps the 40-bit numbers onto themselves (a Feistel network of four rounds, which no choice of round function
// can make map two numbers to one).
func scramble(seed maphash.Seed, n uint64) uint64 {
	const half = 20
	const mask = 1<<half - 1
	left, right := n>>half&mask, n&mask
	for round := range uint64(4) {
		left, right = right, left^maphash.Comparable(seed, round<<half|right)&mask
	}
	return left<<half | right
}

// canonicalRef undoes what people do to a code on its way: case, blanks, the brackets of a refusal around it.
func canonicalRef(typed string) string {
	code := strings.ToUpper(strings.Trim(typed, " \t\r\n()"))
	return strings.TrimPrefix(code, "REF=")
}
