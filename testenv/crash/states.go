package crash

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Trace is what a program did to the files of one folder.
type Trace struct{ ops []op }

type kind int

const (
	said    kind = iota // data, to whoever runs it
	created             // name, by fd, which is new or emptied
	opened              // name, by fd, as it is
	written             // data, at the end of fd
	synced              // fd, or the folder
	renamed             // name, to
	removed             // name
)

type op struct {
	kind     kind
	fd       int
	name, to string
	data     []byte
}

func (t *Trace) add(o op) { t.ops = append(t.ops, o) }

// opened adds what opening a file does.
func (t *Trace) opened(name, flags string, fd int) {
	o := op{kind: opened, fd: fd, name: name}
	if strings.Contains(flags, "O_CREAT") || strings.Contains(flags, "O_TRUNC") {
		o.kind = created
		if !strings.Contains(flags, "O_TRUNC") && !strings.Contains(flags, "O_EXCL") {
			o.kind = opened
		}
	}
	t.add(o)
}

// Crash is one way in which the files may be found.
type Crash struct {
	Call  int               // after so many calls
	Said  string            // by the program until then
	Files map[string][]byte // by name
}

// WriteTo makes the files in an empty folder.
func (c *Crash) WriteTo(folder string) error {
	for name, text := range c.Files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// inode is a file whatever it is called.
type inode struct {
	durable []byte
	pending []change // since it was synced
}

// change is one of a file's content.
type change struct {
	empty bool
	data  []byte
}

// disk is what is on it, and what may be.
type disk struct {
	names   map[string]*inode // that are on it
	pending []naming          // changes of them that may be on it, in this order
	open    map[int]*inode
	said    string
}

type naming func(map[string]*inode)

// now are the names as programs see them.
func (d *disk) now() map[string]*inode { return d.after(len(d.pending)) }

func (d *disk) after(some int) map[string]*inode {
	names := maps.Clone(d.names)
	for _, change := range d.pending[:some] {
		change(names)
	}
	return names
}

func (d *disk) do(o op) {
	switch o.kind {
	case said:
		d.said += string(o.data)
	case created:
		file := d.now()[o.name]
		if file == nil {
			file = &inode{}
			d.pending = append(d.pending, func(names map[string]*inode) { names[o.name] = file })
		} else {
			file.pending = append(file.pending, change{empty: true})
		}
		d.open[o.fd] = file
	case opened:
		if d.open[o.fd] = d.now()[o.name]; d.open[o.fd] == nil && o.name != "." {
			d.do(op{kind: created, fd: o.fd, name: o.name})
		}
	case written:
		file := d.open[o.fd]
		file.pending = append(file.pending, change{data: o.data})
	case synced:
		if o.name == "." {
			d.names, d.pending = d.now(), nil
			return
		}
		file := d.open[o.fd]
		file.durable, file.pending = file.content(len(file.pending)), nil
	case renamed:
		d.pending = append(d.pending, func(names map[string]*inode) { names[o.to] = names[o.name]; delete(names, o.name) })
	case removed:
		d.pending = append(d.pending, func(names map[string]*inode) { delete(names, o.name) })
	}
}

// content is what is in a file after some of its changes.
func (f *inode) content(some int) []byte {
	text := slices.Clone(f.durable)
	for _, c := range f.pending[:some] {
		if c.empty {
			text = nil
		}
		text = append(text, c.data...)
	}
	return text
}

// contents are all that may be in a file: some of its changes, the next one in part, or as zeros.
func (f *inode) contents() (all [][]byte) {
	for some := range len(f.pending) + 1 {
		text := f.content(some)
		all = append(all, text)
		if some == len(f.pending) {
			break
		}
		next := f.pending[some].data
		for _, part := range []int{1, len(next) / 2, len(next) - 1} {
			if part > 0 && part < len(next) {
				all = append(all, append(slices.Clone(text), next[:part]...))
			}
		}
		if len(next) > 0 {
			all = append(all, append(slices.Clone(text), make([]byte, len(next))...))
		}
	}
	return all
}

// Crashes are all states in which files may be found, each once for all that the program had said.
func (t *Trace) Crashes() iter.Seq[*Crash] {
	return func(yield func(*Crash) bool) {
		d := &disk{names: map[string]*inode{}, open: map[int]*inode{}}
		seen := map[[sha256.Size]byte]bool{}
		for i := range len(t.ops) + 1 {
			for some := range len(d.pending) + 1 {
				for files := range combine(d.after(some)) {
					if c := (&Crash{i, d.said, files}); !seen[c.sum()] {
						seen[c.sum()] = true
						if !yield(c) {
							return
						}
					}
				}
			}
			if i < len(t.ops) {
				d.do(t.ops[i])
			}
		}
	}
}

// combine are all combinations of what may be in each file.
func combine(names map[string]*inode) iter.Seq[map[string][]byte] {
	return func(yield func(map[string][]byte) bool) {
		all := slices.Sorted(maps.Keys(names))
		var fill func(int, map[string][]byte) bool
		fill = func(at int, files map[string][]byte) bool {
			if at == len(all) {
				return yield(maps.Clone(files))
			}
			for _, text := range names[all[at]].contents() {
				files[all[at]] = text
				if !fill(at+1, files) {
					return false
				}
			}
			return true
		}
		fill(0, map[string][]byte{})
	}
}

func (c *Crash) sum() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s", len(c.Said), c.Said)
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		fmt.Fprintf(h, "%d %s %d %s", len(name), name, len(c.Files[name]), c.Files[name])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (c *Crash) String() string {
	text := fmt.Sprintf("after call %d, said %q:", c.Call, c.Said)
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		text += fmt.Sprintf(" %s has %d bytes,", name, len(c.Files[name]))
	}
	return text
}
