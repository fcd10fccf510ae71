package consul

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/consul/api"
)

// What one answer may cost. Ten thousand instances of one service, by far the longest that there should be, take less than half. Objects
// and values are counted as well as bytes, since "{}" may become half a kilobyte in memory.
const (
	maxAnswer  = 64 << 20 // bytes
	maxObjects = 400_000
	maxMembers = 3_000_000 // of objects and lists
	maxAtOnce  = 2 * maxAnswer
)

// errTooLong says that nothing of an answer is believed.
var errTooLong = errors.New("the answer is longer than any that a Consul should give")

// bounded is a body of which no more is read than is reasonable.
type bounded struct {
	io.ReadCloser
	all                     *atomic.Int64 // bytes of all answers that are being read
	bytes, objects, members int
}

// Close closes the body once nothing of it is needed any more.
func (b *bounded) Close() error {
	b.all.Add(-int64(b.bytes))
	b.bytes = 0
	return b.ReadCloser.Close()
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.bytes >= maxAnswer || b.objects > maxObjects || b.members > maxMembers || b.all.Load() > maxAtOnce {
		return 0, fmt.Errorf("%w: %d bytes", errTooLong, b.bytes)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), maxAnswer-b.bytes)])
	b.bytes += n
	b.all.Add(int64(n))
	b.objects += bytes.Count(p[:n], []byte("{")) // those in texts, too: they are few
	b.members += bytes.Count(p[:n], []byte(","))
	return n, err
}

// errNonsense says that an answer is none that a Consul gives.
var errNonsense = errors.New("the answer makes no sense: is a Consul agent at CONSUL_ADDRESS?")

// whole returns an error unless a list has nothing in it that should not be.
func whole[T any](list []*T, good func(*T) bool) error {
	if slices.ContainsFunc(list, func(one *T) bool { return one == nil || !good(one) }) {
		return errNonsense
	}
	return nil
}

func anything[T any](*T) bool { return true }

// entireEntry reports whether e has what all entries have.
func entireEntry(e *api.ServiceEntry) bool {
	return e.Node != nil && e.Service != nil && whole(e.Checks, anything) == nil
}

// below reports whether a key is one of those that were asked for.
func below(folder string) func(*api.KVPair) bool {
	return func(p *api.KVPair) bool { return strings.HasPrefix(p.Key, folder) }
}
