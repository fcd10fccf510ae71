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

// Bounds of what a container leaves to the runtime: the rest is for what the runtime has while it
// collects garbage, and for what the system keeps for the process.
const (
	containerRest = 10       // per cent …
	leastRest     = 16 << 20 // … or so many bytes, where that is more …
	leastPart     = 4        // … but a quarter is left, whatever the system keeps
)

// Leaves is how much memory the runtime may have where so much of the container's is not its own,
// bytes; 0: there is no limit. What it may have however much it wants is wanted, 0 for all there is.
func (c Container) Leaves(wanted int64, others uint64) uint64 {
	limit := uint64(max(0, wanted))
	if c.Limit == 0 {
		return limit
	}
	rest := min(max(c.Limit/100*containerRest, leastRest), c.Limit/2)
	left := c.Limit - rest
	left = max(left-min(others, left), c.Limit/leastPart)
	if limit == 0 || left < limit {
		return left
	}
	return limit
}

// LimitMemory tells the runtime how much memory to keep to, bytes: what is wanted, but no more than what the container
// leaves; below 0 is no limit. Where the environment has GOMEMLIMIT, that counts. It returns what
// holds, 0 for no limit, and who says so.
func LimitMemory(wanted int64, container Container) (limit uint64, from string) {
	if limitedOutside() {
		return MemoryLimit(), "GOMEMLIMIT"
	}
	limit = container.Leaves(wanted, 0)
	switch {
	case wanted < 0 || limit == 0:
		return 0, ""
	case limit == uint64(wanted):
		from = "MEMORY_LIMIT"
	default:
		from = container.From
	}
	limit = min(limit, math.MaxInt64-1)
	debug.SetMemoryLimit(int64(limit))
	return limit, from
}

// limitedOutside tells whether whoever started the program has set a limit for the runtime.
func limitedOutside() bool { return os.Getenv("GOMEMLIMIT") != "" }

// worthChanging is by how much a limit has to be another one to be set anew, bytes: for that all goroutines wait a moment.
const worthChanging = 4 << 20

// FollowContainer sets the limit anew where what the system keeps for this process, such as buffers of its sockets, and what
// others in its container have, leaves the runtime another part of it. inUse is the container's InUse. It returns what holds.
func FollowContainer(wanted int64, container Container, inUse uint64) (limit uint64) {
	now := MemoryLimit()
	if container.Limit == 0 || inUse == 0 || wanted < 0 || now == 0 || limitedOutside() {
		return now
	}
	limit = container.Leaves(wanted, inUse-min(inUse, RuntimeMemory()))
	if limit < now+worthChanging && now < limit+worthChanging {
		return now
	}
	debug.SetMemoryLimit(int64(limit))
	return limit
}

// Headroom is how much garbage the runtime lets come about before it collects it, per cent of what it then goes through.
// There is hardly any where it keeps to a limit only by collecting all the time.
func Headroom() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	goal, live := samples[0].Value.Uint64(), max(1, samples[1].Value.Uint64())
	return (goal - min(goal, live)) * 100 / live
}

// RuntimeMemory is what the runtime has of the system's memory, bytes: that is what its limit is for.
func RuntimeMemory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
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
