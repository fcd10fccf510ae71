package broker

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// contents tells of files what was read from them, so that a change can be told from a
// touch: by path, the hash of the text, or of why there was none.
type contents map[string][sha256.Size]byte

// read is readFile that keeps what it read in mind.
func (c contents) read(path string) (string, error) {
	text, err := readFile(path)
	if err != nil {
		c[path] = sha256.Sum256([]byte("\x00" + err.Error())) // no text has a zero byte
	} else {
		c[path] = sha256.Sum256([]byte(text))
	}
	return text, err
}

// now are the same files as they are now.
func (c contents) now() contents {
	now := contents{}
	for path := range c {
		_, _ = now.read(path) // which keeps the error in mind
	}
	return now
}

func (c contents) same(other contents) bool { return maps.Equal(c, other) }

// fileWatch tells when something may have happened to files. It watches the folders, since
// files are replaced more often than they are written: those of the files, and those of
// all symbolic links on the way to them, of which Kubernetes swaps one for a new ConfigMap.
type fileWatch struct {
	log     *slog.Logger
	watcher *fsnotify.Watcher // nil: the system tells nothing
	names   map[string]bool   // what an event has to be about to be of interest
	folders []string          // that are watched, sorted
	failed  bool              // it was said that a folder cannot be watched
}

// newFileWatch makes one; watcher may fail.
func newFileWatch(log *slog.Logger, watcher func() (*fsnotify.Watcher, error)) *fileWatch {
	w := &fileWatch{log: log}
	var err error
	if w.watcher, err = watcher(); err != nil {
		log.Warn("changes of configuration files are only found by CONFIG_POLL", "cause", err.Error())
	}
	return w
}

// Close waits until nothing is watched any more.
func (w *fileWatch) Close() {
	if w.watcher != nil {
		_ = w.watcher.Close()
	}
}

// events are nil where there are none.
func (w *fileWatch) events() (<-chan fsnotify.Event, <-chan error) {
	if w.watcher == nil {
		return nil, nil
	}
	return w.watcher.Events, w.watcher.Errors
}

// concerns tells whether the event may be about one of the files.
func (w *fileWatch) concerns(e fsnotify.Event) bool { return w.names[e.Name] }

// follow watches these files and no others; links may lead elsewhere each time. It tells
// whether there is a folder that was not watched before.
func (w *fileWatch) follow(files []string) (more bool) {
	if w.watcher == nil {
		return false
	}
	w.names = map[string]bool{}
	folders := map[string]bool{}
	for _, file := range files {
		for _, place := range placesOf(file) {
			folder := filepath.Dir(place)
			w.names[place], w.names[folder] = true, true
			folders[folder] = true
		}
	}
	wanted := slices.Sorted(maps.Keys(folders))
	for _, old := range w.folders {
		if !folders[old] {
			_ = w.watcher.Remove(old) // which fails if it is gone
		}
	}
	var watched []string
	for _, folder := range wanted {
		// Adding what is watched already is no loss; a folder made anew under its old name
		// is another one.
		if err := w.watcher.Add(folder); err != nil {
			w.sayFailed(folder, err)
			continue
		}
		watched = append(watched, folder)
		more = more || !slices.Contains(w.folders, folder)
	}
	w.folders = watched
	return more
}

func (w *fileWatch) sayFailed(folder string, err error) {
	if w.failed || errors.Is(err, os.ErrNotExist) {
		return
	}
	w.failed = true
	w.log.Warn("changes in a folder are only found by CONFIG_POLL", "folder", folder, "cause", err.Error())
}

// maxLinks is how many symbolic links are followed, as the system itself does.
const maxLinks = 40

// placesOf are the names whose change may change what is read from a file: its own, and
// those of the symbolic links on the way to it. What is not there yet stands for what
// would be in it.
func placesOf(file string) []string {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil
	}
	var places []string
	for range maxLinks {
		link, target, rest, missing := firstLink(path)
		if link == "" || missing {
			return append(places, link+rest)
		}
		places = append(places, link)
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		path = filepath.Join(target, rest)
	}
	return places
}

// firstLink finds the first component of path that is a symbolic link, and what is behind
// it. Without one link is empty and rest is path; missing tells that link is not there.
func firstLink(path string) (link, target, rest string, missing bool) {
	for end := 1; end < len(path); {
		next := strings.IndexByte(path[end:], filepath.Separator)
		if next < 0 {
			next = len(path) - end
		}
		end += next
		info, err := os.Lstat(path[:end])
		if err != nil {
			return path[:end], "", "", true
		}
		if info.Mode()&os.ModeSymlink != 0 {
			if target, err = os.Readlink(path[:end]); err == nil {
				return path[:end], target, path[end:], false
			}
		}
		end++
	}
	return "", "", path, false
}
