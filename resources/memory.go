package resources

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// Container is the memory that the control groups of this process leave it. Make it with
// FindContainer.
type Container struct {
	Limit uint64 // bytes; 0: there is none
	From  string // file that says so

	current, stat string
	cache         []string // fields of stat that are no more than a cache
}

// unlimited is from where on a limit of version 1 means that there is none.
const unlimited = 1 << 60

// FindContainer looks for the least limit of memory among the control groups of this process,
// version 1 and 2. root is where the file system begins, "/" but for tests.
func FindContainer(root string) Container {
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return Container{}
	}
	var least Container
	for lines := bufio.NewScanner(bytes.NewReader(groups)); lines.Scan(); {
		number, rest, _ := strings.Cut(lines.Text(), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		var mounts []string
		one := Container{current: "memory.current", stat: "memory.stat", cache: []string{"inactive_file", "active_file"}}
		file := "memory.max"
		switch {
		case number == "0" && controllers == "":
			mounts = []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}
		case strings.Contains(","+controllers+",", ",memory,"):
			mounts, file = []string{"sys/fs/cgroup/memory"}, "memory.limit_in_bytes"
			one = Container{current: "memory.usage_in_bytes", stat: "memory.stat", cache: []string{"total_inactive_file", "total_active_file"}}
		}
		for _, mount := range mounts {
			least = least.or(one.within(filepath.Join(root, mount), group, file))
		}
	}
	return least
}

// within looks at a group and those above it. A group that is not there, as seen from within
// a container, is the uppermost one.
func (c Container) within(mount, group, file string) (least Container) {
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		folder := filepath.Join(mount, at)
		if limit, ok := readNumber(filepath.Join(folder, file)); ok && limit < unlimited {
			found := c
			found.Limit, found.From = limit, filepath.Join(folder, file)
			found.current, found.stat = filepath.Join(folder, c.current), filepath.Join(folder, c.stat)
			least = least.or(found)
		}
		if at == "/" {
			return least
		}
	}
}

// or is the one that leaves less.
func (c Container) or(other Container) Container {
	if c.Limit == 0 || other.Limit > 0 && other.Limit < c.Limit {
		return other
	}
	return c
}

// InUse is how much the group has that cannot be given back by dropping caches of files,
// bytes: of this process, of others in it, and what the system keeps for their sockets. 0
// where nobody tells.
func (c Container) InUse() uint64 {
	if c.Limit == 0 {
		return 0
	}
	used, ok := readNumber(c.current)
	if !ok {
		return 0
	}
	text, err := os.ReadFile(c.stat)
	if err != nil {
		return used
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		for _, cached := range c.cache {
			if n, err := strconv.ParseUint(value, 10, 64); name == cached && err == nil {
				used -= min(n, used)
			}
		}
	}
	return used
}

func readNumber(file string) (uint64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil // "max" is no number
}

// containerPart is how much of a container's memory the program is told to keep to, per cent:
// the rest is for what the system keeps for it.
const containerPart = 90

// LimitMemory tells the runtime how much memory to keep to, bytes: what is wanted, else most of
// what the container has; below 0 is no limit. Where the environment has GOMEMLIMIT, that counts. It returns what
// holds, 0 for no limit, and who says so.
func LimitMemory(wanted int64, container Container) (limit uint64, from string) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return MemoryLimit(), "GOMEMLIMIT"
	}
	switch {
	case wanted > 0:
		limit, from = uint64(wanted), "MEMORY_LIMIT"
	case wanted == 0 && container.Limit > 0:
		limit, from = container.Limit/100*containerPart, container.From
	default:
		return 0, ""
	}
	limit = min(limit, math.MaxInt64-1)
	debug.SetMemoryLimit(int64(limit))
	return limit, from
}

// MemoryLimit is how much memory the runtime keeps to, bytes; 0: as much as it likes.
func MemoryLimit() uint64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return uint64(limit)
	}
	return 0
}

// needed is what the runtime cannot do without: what was reachable when it last collected
// garbage, stacks, and what it keeps about them.
var needed = [...]string{
	"/gc/heap/live:bytes", "/memory/classes/heap/stacks:bytes", "/memory/classes/os-stacks:bytes",
	"/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/other:bytes",
	"/memory/classes/other:bytes", "/memory/classes/profiling/buckets:bytes",
}

// MemoryInUse is how much memory the runtime cannot do without, bytes. Unlike all that it has,
// that does not grow up to the limit only because there is one.
func MemoryInUse() uint64 {
	samples := make([]metrics.Sample, len(needed))
	for i, name := range needed {
		samples[i].Name = name
	}
	metrics.Read(samples)
	var sum uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	return sum
}
