package dns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"servicebroker/wholefile"
)

// serials gives out serials of zones: one that grows by as much as the table's version does, from a start beyond any that was given
// out before a restart. They wrap around as RFC 1982 has it.
type serials struct {
	path string // where it is kept beyond which none was given out; "": nowhere, and starts come from the clock

	mu       sync.Mutex // guards what follows
	started  bool
	last     uint32
	version  uint64 // of the table at last
	reserved uint32 // none beyond it is given out if it can be helped
	unkept   error  // why what is reserved is not on disk; nil if it is
	told     bool   // of that
}

// serialsAhead is how many are reserved with one write.
const serialsAhead = 10_000

// next returns the serial for that version of the table. A disk that cannot be written to keeps no zone from following the table.
func (s *serials) next(version uint64) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		if err := s.start(); err != nil {
			return 0, err
		}
	}
	step := uint32(1) // also where the table began anew
	if version > s.version && s.version > 0 {
		step = uint32(min(version-s.version, 1<<20))
	}
	next := s.last + step
	if s.path != "" && int32(s.reserved-next) < 0 {
		reserved := next + serialsAhead
		if s.unkept = writeFile(s.path, strconv.FormatUint(uint64(reserved), 10)+"\n"); s.unkept == nil {
			s.reserved = reserved
		}
	}
	s.last, s.version = next, version
	return next, nil
}

// resume goes on beyond what another process may have given out, by the file, besides what was given out here.
func (s *serials) resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last
	if err := s.start(); err != nil {
		s.last = last
		return err
	}
	if int32(last-s.last) > 0 {
		s.last, s.reserved = last, last
	}
	return nil
}

// trouble returns why secondaries might not follow after a restart, once each time that it begins; else nil.
func (s *serials) trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	begins := s.unkept != nil && !s.told
	s.told = s.unkept != nil
	if begins {
		return s.unkept
	}
	return nil
}

func (s *serials) start() error {
	s.last = uint32(time.Now().Unix())
	if s.path != "" {
		content, err := os.ReadFile(s.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("the serial of the DNS zone cannot be read: %w: check the state directory", err)
		default:
			reserved, err := strconv.ParseUint(strings.TrimSpace(string(content)), 10, 32)
			if err != nil {
				return fmt.Errorf("%s holds no serial: write the zone's last serial into it, or remove it if there are no secondaries", s.path)
			}
			if int32(uint32(reserved)-s.last) > 0 { // else some were given out that could not be kept
				s.last = uint32(reserved)
			}
		}
	}
	s.reserved, s.started = s.last, true
	return nil
}

// writeFile replaces a file, in a folder that is made where there is none.
func writeFile(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return wholefile.Replace(path, []byte(content))
}
