package servicetable

import "maps"

// names maps folded names to values. It is split into shards so that a change copies only the shards it touches, and
// everything else is shared with the version before.
type names[V any] struct {
	shards [shardCount]map[string]V
}

// shardCount makes a shard small beside the table's whole: with 10,000 names about 40 of them are copied for one changed.
const shardCount = 256

// shard returns the shard of a folded name (FNV-1a, folded to eight bits).
func shard[T string | []byte](name T) int {
	h := uint32(2166136261)
	for i := 0; i < len(name); i++ {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return int((h ^ h>>8 ^ h>>16 ^ h>>24) % shardCount)
}

// lookup takes bytes so that a name folded on the stack needs no allocation.
func (n *names[V]) lookup(name []byte) V { return n.shards[shard(name)][string(name)] }

func (n *names[V]) get(name string) V { return n.shards[shard(name)][name] }

// edit begins a new version of n, which stays as it is.
func (n *names[V]) edit() *namesEdit[V] { return &namesEdit[V]{next: *n} }

// namesEdit is a version of names in the making. It may be written until its next field is published.
type namesEdit[V any] struct {
	next  names[V]
	owned [shardCount]bool // shards already copied
}

func (e *namesEdit[V]) own(name string) map[string]V {
	i := shard(name)
	if !e.owned[i] {
		e.owned[i] = true
		if e.next.shards[i] == nil {
			e.next.shards[i] = map[string]V{}
		} else {
			e.next.shards[i] = maps.Clone(e.next.shards[i])
		}
	}
	return e.next.shards[i]
}

func (e *namesEdit[V]) set(name string, v V) { e.own(name)[name] = v }

func (e *namesEdit[V]) remove(name string) { delete(e.own(name), name) }
