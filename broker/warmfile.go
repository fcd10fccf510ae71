package broker

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"servicebroker/discovery"
	"servicebroker/servicetable"
)

// The table on disk is a bbolt file with a page of facts about it, an entry for each registration by its ID, and one for each
// service that left lately, so that what changes is all that is written. It is written whole, beside the one before, when a
// broker first comes to it: nothing is ever built upon what another process has left.
const (
	warmFormat = 1 // of the file; that of the registrations in it is servicetable's
	warmName   = "table.db"
)

var (
	warmFacts     = []byte("facts")
	warmInstances = []byte("instances")
	warmDeparted  = []byte("departed")
	warmFactsKey  = []byte("table")
)

// warmFact is what the file says of itself.
type warmFact struct {
	Format  int       `json:"format"`
	Broker  string    `json:"broker"` // version that wrote it
	AsOf    time.Time `json:"as_of"`  // registrations of which nothing else is said were live then
	Version uint64    `json:"table_version"`
}

// warmEntry is one registration in the file.
type warmEntry struct {
	Registration servicetable.Registration `json:"registration"`
	Heard        time.Time                 `json:"heard,omitzero"` // when it was live last, or left; zero: as of the file's time
}

// warmTable is what is to be in the file.
type warmTable struct {
	version  uint64
	entries  []*servicetable.Registration // all but static ones; as they are in the table
	departed []departure
}

// sameWarm tells whether two tables are the same without looking into registrations: those that changed are others.
func sameWarm(a, b *warmTable) bool {
	return slices.Equal(a.entries, b.entries) && slices.Equal(a.departed, b.departed)
}

// warmFile is the discovery.Destination that keeps a warmTable on disk.
type warmFile struct {
	path string

	mu      sync.Mutex // guards what follows; nobody who changes the table takes it
	db      *bbolt.DB  // nil: not open
	info    os.FileInfo
	written map[string]*servicetable.Registration // by key in the file, as last written; nil: not known
	heard   map[servicetable.ID]time.Time         // of stale ones
}

// Sync makes the file equal to t. It is on the disk when it returns.
func (f *warmFile) Sync(_ context.Context, t *warmTable) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := unharmed(func() error { return f.sync(t) })
	if err != nil {
		f.written = nil // it may have come half way
	}
	if errors.Is(err, errDamagedTable) {
		f.close() // and made anew next time
	}
	return err
}

func (f *warmFile) sync(t *warmTable) error {
	if f.db != nil && !f.inPlace() {
		f.close()
	}
	if f.db == nil {
		return f.begin(t)
	}
	return f.db.Update(func(tx *bbolt.Tx) error { return f.put(tx, t) })
}

// inPlace reports whether what is open is what is found at the path.
func (f *warmFile) inPlace() bool {
	now, err := os.Lstat(f.path)
	return err == nil && os.SameFile(now, f.info)
}

// begin writes a file of its own, and puts it in the place of the one before once it is whole.
func (f *warmFile) begin(t *warmTable) error {
	if err := f.isFree(); err != nil {
		return err
	}
	fresh := f.path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(fresh, 0o600, &bbolt.Options{Timeout: time.Second, NoStatistics: true})
	if err != nil {
		return err
	}
	f.written = nil
	err = db.Update(func(tx *bbolt.Tx) error { return f.put(tx, t) })
	if err == nil {
		f.info, err = os.Lstat(fresh)
	}
	if err == nil {
		err = os.Rename(fresh, f.path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(f.path))
	}
	if err != nil {
		_ = db.Close()
		_ = os.Remove(fresh)
		return err
	}
	f.db = db
	return nil
}

// isFree returns an error while another process has the file open, as a predecessor has for a while.
func (f *warmFile) isFree() error {
	db, err := openWarm(f.path)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return discovery.ErrStandby
	case err == nil:
		return db.Close()
	}
	return nil // whatever is wrong with it, it is replaced
}

// put writes what is different from what was written last.
func (f *warmFile) put(tx *bbolt.Tx, t *warmTable) error {
	now := time.Now().Round(0)
	whole := f.written == nil
	instances, departed, facts, err := warmBuckets(tx, whole)
	if err != nil {
		return err
	}
	wanted := make(map[string]*servicetable.Registration, len(t.entries))
	heard := map[servicetable.ID]time.Time{}
	for _, r := range t.entries {
		key := "r" + string(r.ID)
		wanted[key] = r
		at := time.Time{}
		if r.Stale {
			if at = f.heard[r.ID]; at.IsZero() {
				at = now
			}
			heard[r.ID] = at
		}
		if f.written[key] != r {
			err = errors.Join(err, putWarm(instances, key, &warmEntry{Registration: *r, Heard: at}))
		}
	}
	for _, d := range t.departed {
		key := fmt.Sprintf("d%d %s", d.at.UnixNano(), d.registration.ID)
		wanted[key] = d.registration
		if f.written[key] != d.registration {
			err = errors.Join(err, putWarm(departed, key, &warmEntry{Registration: *d.registration, Heard: d.at}))
		}
	}
	for key := range f.written {
		if wanted[key] == nil {
			from := instances
			if key[0] == 'd' {
				from = departed
			}
			err = errors.Join(err, from.Delete([]byte(key)))
		}
	}
	err = errors.Join(err, putWarm(facts, string(warmFactsKey), &warmFact{Format: warmFormat, Broker: Version, AsOf: now, Version: t.version}))
	if err == nil {
		tx.OnCommit(func() { f.written, f.heard = wanted, heard })
	}
	return err
}

// warmBuckets returns the parts of the file, emptied if all is to be written.
func warmBuckets(tx *bbolt.Tx, whole bool) (instances, departed, facts *bbolt.Bucket, err error) {
	var all [3]*bbolt.Bucket
	for i, name := range [][]byte{warmInstances, warmDeparted, warmFacts} {
		if whole && tx.Bucket(name) != nil {
			if err := tx.DeleteBucket(name); err != nil {
				return nil, nil, nil, err
			}
		}
		if all[i], err = tx.CreateBucketIfNotExists(name); err != nil {
			return nil, nil, nil, err
		}
	}
	return all[0], all[1], all[2], nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// putWarm writes a value with a sum over it and its key.
func putWarm(to *bbolt.Bucket, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return to.Put([]byte(key), append(binary.BigEndian.AppendUint32(nil, warmSum([]byte(key), text)), text...))
}

func warmSum(key, text []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, text)
}

// Close gives the file back.
func (f *warmFile) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.close()
}

func (f *warmFile) close() {
	if f.db != nil {
		_ = unharmed(f.db.Close)
	}
	f.db, f.written = nil, nil
}

// errDamagedTable tells of a file that is not what it should be.
var errDamagedTable = errors.New("the file is damaged")

// unharmed calls f, which reads a file by mapping it: what is wrong with the file becomes an error, and no end of the process.
func unharmed(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", errDamagedTable, cause)
		}
	}()
	return f()
}

// openWarm opens the file for reading.
func openWarm(path string) (db *bbolt.DB, err error) {
	err = unharmed(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: 50 * time.Millisecond, NoStatistics: true})
		return err
	})
	return db, err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
