package broker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"servicebroker/servicetable"
)

// warmRead is what was found on disk.
type warmRead struct {
	fact     warmFact
	entries  []warmEntry // with the time when each was heard of last
	departed []warmEntry
}

// errWarmInUse tells that another process keeps the file.
var errWarmInUse = errors.New("another process has the file open")

// readWarm reads the table at path. A file that is damaged, or of a format to come, is set aside under another name, and the
// error says so; what could be read of it is returned all the same. No file is no error.
func readWarm(path string) (warmRead, error) {
	var read warmRead
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return read, nil
	}
	err := read.from(path)
	switch {
	case err == nil, errors.Is(err, errWarmInUse), errors.Is(err, fs.ErrPermission):
		return read, err
	case errors.Is(err, servicetable.ErrNewerFormat):
		return read, setAside(path, ".newer", err)
	}
	return read, setAside(path, ".damaged", err)
}

// setAside gives a file that cannot be used another name.
func setAside(path, suffix string, cause error) error {
	if err := os.Rename(path, path+suffix); err != nil {
		return fmt.Errorf("%w; it could not be set aside: %w", cause, err)
	}
	return fmt.Errorf("%w; it is now %s", cause, path+suffix)
}

// from reads as much as can be read, and returns what was wrong with the rest.
func (w *warmRead) from(path string) error {
	db, err := openWarm(path)
	if errors.Is(err, bolterrors.ErrTimeout) {
		return errWarmInUse
	}
	if err != nil {
		return err
	}
	defer func() { _ = unharmed(db.Close) }()
	var wrong error
	err = unharmed(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			if err := w.readFacts(tx); err != nil {
				return err
			}
			for _, part := range []struct {
				name []byte
				to   *[]warmEntry
			}{{warmInstances, &w.entries}, {warmDeparted, &w.departed}} {
				if err := w.readPart(tx, part.name, part.to); wrong == nil || errors.Is(err, servicetable.ErrNewerFormat) {
					wrong = err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return wrong
}

func (w *warmRead) readFacts(tx *bbolt.Tx) error {
	facts := tx.Bucket(warmFacts)
	if facts == nil {
		return fmt.Errorf("%w: it does not say what it is", errDamagedTable)
	}
	if err := getWarm(warmFactsKey, facts.Get(warmFactsKey), &w.fact); err != nil {
		return err
	}
	if w.fact.Format > warmFormat {
		return fmt.Errorf("%w: %s, in format %d, and this one reads up to %d", servicetable.ErrNewerFormat, w.fact.Broker, w.fact.Format, warmFormat)
	}
	return nil
}

// maxWarm bounds how many registrations are read.
const maxWarm = 100_000

// readPart reads all registrations of a part of the file that can be read; the error is the first one.
func (w *warmRead) readPart(tx *bbolt.Tx, name []byte, to *[]warmEntry) (wrong error) {
	part := tx.Bucket(name)
	if part == nil {
		return fmt.Errorf("%w: there are no %s", errDamagedTable, name)
	}
	seen := 0
	stop := part.ForEach(func(key, value []byte) error {
		if seen++; seen > maxWarm {
			return fmt.Errorf("%w: it has more than %d %s", errDamagedTable, maxWarm, name)
		}
		var e warmEntry
		if err := getWarm(key, value, &e); err != nil {
			if wrong == nil || errors.Is(err, servicetable.ErrNewerFormat) {
				wrong = err
			}
			return nil
		}
		if e.Heard.IsZero() {
			e.Heard = w.fact.AsOf
		}
		if now := time.Now(); e.Heard.After(now) { // by a clock that was wrong
			e.Heard = now
		}
		*to = append(*to, e)
		return nil
	})
	if wrong == nil {
		wrong = stop
	}
	return wrong
}

// getWarm decodes what putWarm wrote.
func getWarm(key, value []byte, to any) error {
	if len(value) < 4 || binary.BigEndian.Uint32(value) != warmSum(key, value[4:]) {
		return fmt.Errorf("%w: the sum over %.40q is wrong", errDamagedTable, key)
	}
	err := json.Unmarshal(value[4:], to)
	if err != nil && !errors.Is(err, servicetable.ErrNewerFormat) {
		return fmt.Errorf("%w: %.40q: %w", errDamagedTable, key, err)
	}
	return err
}
