package intent

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// maxKey bounds what Key returns.
const maxKey = 300

// Key returns a text by which intents that replace each other are known wherever they were set: kind and target, whose names are folded.
// It is safe in URLs and as a path, at most 300 bytes long, and never empty. It has no more than letters, digits and -_.=,/& with no two
// points in a row, since some stores take no other keys.
func (i Intent) Key() string {
	kind, target := plain(string(i.Kind)), "" // the kind as it is, where it is one that is known
	if i.Target.Quarantine != "" {
		kind, target = "quarantine", plain(i.Target.Quarantine) // approve and reject replace each other
	} else {
		var parts []string
		for _, f := range i.Target.fields() {
			if *f.text != "" {
				parts = append(parts, f.name+"="+plain(*f.text))
			}
		}
		target = strings.Join(parts, ",")
	}
	key := kind + "/" + target
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = kind[:min(len(kind), 20)] + "/" + base32.StdEncoding.EncodeToString(sum[:])
	}
	return key
}

// plain is a name, folded, in a key.
func plain(name string) string {
	return strings.NewReplacer("%", "&", "+", "&20", "~", "&7E", "..", ".&2E").Replace(url.QueryEscape(fold(name)))
}

// Check tells whether i is one that a store would take, whenever it was set.
func (i Intent) Check() error {
	_, err := check(i, i.Created)
	return err
}

// Merge makes the store have those of set, as they are, and none of the keys in gone. An intent that replaces another keeps the other's
// ID; a new one gets one of this store. It returns what is new or different, and what is gone. All of that is on disk when Merge returns;
// an error tells that it cannot be: it holds all the same, since nobody would offer it again. Intents of set are checked, and those that no
// store would take are left out; then an error tells of the first.
func (s *Store) Merge(set []Intent, gone []string) (changed, removed []Intent, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := merging{list: slices.Clone(s.All()), next: max(s.next, 1), at: map[string]int{}}
	for n := range m.list {
		m.at[m.list[n].Key()] = n
	}
	var refused error
	for _, i := range set {
		if err := m.put(i); err != nil && refused == nil {
			refused = fmt.Errorf("%s: %w", i.Key(), err)
		}
	}
	for _, key := range gone {
		if n, there := m.at[key]; there {
			m.removed = append(m.removed, m.list[n])
			m.list[n].ID = "" // no intent is without
			delete(m.at, key)
		}
	}
	if len(m.changed)+len(m.removed) == 0 {
		return nil, nil, refused
	}
	m.list = slices.DeleteFunc(m.list, func(i Intent) bool { return i.ID == "" })
	if err := s.replace(m.list, m.next); err != nil {
		s.next = m.next
		s.publish(m.list)
		refused = err
	}
	return m.changed, m.removed, refused
}

// merging is the next state in the making.
type merging struct {
	list             []Intent
	next             uint64
	at               map[string]int // place in the list, by key
	changed, removed []Intent
}

func (m *merging) put(i Intent) error {
	i, err := check(i, i.Created)
	if err != nil {
		return err
	}
	n, there := m.at[i.Key()]
	if there && m.list[n].Kind == i.Kind {
		i.ID = m.list[n].ID
		if m.list[n] == i {
			return nil
		}
		m.list[n] = i
		m.changed = append(m.changed, i)
		return nil
	}
	if !there && len(m.at) >= maxIntents {
		return fmt.Errorf("%w: %d are kept already; remove some (broker intents lists them)", ErrTooMany, len(m.at))
	}
	i.ID = newID(i.Kind, m.next)
	m.next++
	if there { // an approval in place of a rejection, or the other way round
		m.removed = append(m.removed, m.list[n])
		m.list[n] = i
	} else {
		m.at[i.Key()] = len(m.list)
		m.list = append(m.list, i)
	}
	m.changed = append(m.changed, i)
	return nil
}
