package resources

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

// system writes files of a root.
func system(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestMemoryOfContainers(t *testing.T) {
	const stat = "anon 1000\nfile 700\ninactive_file 300\nactive_file 400\nsock 50\n"
	for name, c := range map[string]struct {
		files       map[string]string
		limit, used uint64
		from        string
	}{
		"none":      {nil, 0, 0, ""},
		"unlimited": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0, 0, ""},
		"version 2": {map[string]string{
			"proc/self/cgroup": "0::/a.slice/b.service\n", "sys/fs/cgroup/a.slice/b.service/memory.max": "2000\n",
			"sys/fs/cgroup/a.slice/b.service/memory.current": "1900\n", "sys/fs/cgroup/a.slice/b.service/memory.stat": stat,
		}, 2000, 1200, "sys/fs/cgroup/a.slice/b.service/memory.max"},
		"a group above has less": {map[string]string{
			"proc/self/cgroup": "0::/a.slice/b.service\n", "sys/fs/cgroup/a.slice/b.service/memory.max": "max\n", "sys/fs/cgroup/a.slice/memory.max": "1500\n",
			"sys/fs/cgroup/a.slice/memory.current": "100\n",
		}, 1500, 100, "sys/fs/cgroup/a.slice/memory.max"},
		"a group that is not seen from within": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/pod1\n", "sys/fs/cgroup/memory.max": "4096\n",
		}, 4096, 0, "sys/fs/cgroup/memory.max"},
		"version 1": {map[string]string{
			"proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/1\n0::/\n",
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "3000\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes": "2500\n", "sys/fs/cgroup/memory/docker/1/memory.stat": "cache 500\ntotal_inactive_file 100\ntotal_active_file 5000\n",
		}, 3000, 0, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes"},
		"both": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n0::/x\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "5000\n", "sys/fs/cgroup/unified/x/memory.max": "4000\n",
		}, 4000, 0, "sys/fs/cgroup/unified/x/memory.max"},
		"nonsense": {map[string]string{"proc/self/cgroup": "\n:\n4\n0:memory\n", "sys/fs/cgroup/memory.max": "many\n"}, 0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := system(t, c.files)
			got := FindContainer(root)
			from := ""
			if c.from != "" {
				from = filepath.Join(root, c.from)
			}
			if got.Limit != c.limit || got.From != from || got.InUse() != c.used {
				t.Errorf("limit %d of %q, %d in use; want %d of %q, %d", got.Limit, got.From, got.InUse(), c.limit, from, c.used)
			}
		})
	}
}

// What is asked for goes before what the container has, and GOMEMLIMIT before both.
func TestWhoLimitsMemory(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "") // none
	container := Container{Limit: 10 << 30, From: "memory.max"}
	small := Container{Limit: 96 << 20, From: "memory.max"}
	for _, c := range []struct {
		wanted int64
		in     Container
		limit  uint64
		from   string
	}{
		{0, Container{}, 0, ""},
		{-1, container, 0, ""},
		{0, container, container.Limit - container.Limit/100*10, "memory.max"},
		{0, small, 80 << 20, "memory.max"},
		{64 << 20, small, 64 << 20, "MEMORY_LIMIT"},
		{96 << 20, small, 80 << 20, "memory.max"}, // which would be the end of it
		{-1, small, 0, ""},
		{1 << 30, Container{}, 1 << 30, "MEMORY_LIMIT"},
		{3 << 30, container, 3 << 30, "MEMORY_LIMIT"},
	} {
		if limit, from := LimitMemory(c.wanted, c.in); limit != c.limit || from != c.from || limit > 0 && MemoryLimit() != limit {
			t.Errorf("%d wanted of %d: %d by %q, in force %d", c.wanted, c.in.Limit, limit, from, MemoryLimit())
		}
	}
	t.Setenv("GOMEMLIMIT", "1GiB")
	debug.SetMemoryLimit(1 << 30) // as the runtime did when it began
	if limit, from := LimitMemory(5<<30, container); limit != 1<<30 || from != "GOMEMLIMIT" || MemoryLimit() != 1<<30 {
		t.Errorf("%d by %q, in force %d", limit, from, MemoryLimit())
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if MemoryLimit() != 0 {
		t.Errorf("%d in force", MemoryLimit())
	}
}

// What others have of a container is not the runtime's.
func TestWhatAContainerLeaves(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		limit, others uint64
		wanted        int64
		want          uint64
	}{
		{0, 50 * mb, 0, 0},
		{0, 50 * mb, 7 * mb, 7 * mb},
		{100 * mb, 0, 0, 84 * mb},
		{100 * mb, 30 * mb, 0, 54 * mb},
		{100 * mb, 30 * mb, 50 * mb, 50 * mb},
		{100 * mb, 80 * mb, 50 * mb, 25 * mb}, // hardly anything, and that it needs
		{1000 * mb, 100 * mb, 0, 800 * mb},
		{20 * mb, 0, 0, 10 * mb},
	} {
		if got := (Container{Limit: c.limit}).Leaves(c.wanted, c.others); got/mb != c.want/mb {
			t.Errorf("%d wanted of %d, others have %d: %d, want %d", c.wanted, c.limit, c.others, got, c.want)
		}
	}
}

// The limit follows what the system keeps, in steps that are worth it, and nobody who has set one is overruled.
func TestTheLimitFollows(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "")
	container := Container{Limit: 2 << 30}
	if got := FollowContainer(0, container, 1<<30); got != 0 {
		t.Errorf("%d where there is none", got)
	}
	first, _ := LimitMemory(0, container)
	own := RuntimeMemory()
	if got := FollowContainer(0, container, own+1<<20); got != first {
		t.Errorf("%d for a megabyte of others, %d before", got, first)
	}
	if got := FollowContainer(0, container, own+512<<20); got > first-400<<20 || got < first-600<<20 || MemoryLimit() != got {
		t.Errorf("%d of %d, others have 512 MB", got, first)
	}
	if got := FollowContainer(0, container, 0); got > first-400<<20 {
		t.Errorf("%d where nobody tells what is in use", got)
	}
	if got := FollowContainer(0, container, own); got < first-64<<20 {
		t.Errorf("%d of %d where others have nothing any more", got, first)
	}
	debug.SetMemoryLimit(1 << 30)
	t.Setenv("GOMEMLIMIT", "1GiB")
	if got := FollowContainer(0, container, own+512<<20); got != 1<<30 {
		t.Errorf("%d, GOMEMLIMIT is 1 GiB", got)
	}
}

// What is held counts, and garbage does not.
func TestMemoryInUse(t *testing.T) {
	const size = 64 << 20
	runtime.GC()
	before := MemoryInUse()
	held := make([]byte, size)
	runtime.GC()
	with := MemoryInUse()
	runtime.KeepAlive(held)
	held = nil
	runtime.GC()
	after := MemoryInUse()
	if before == 0 || with < before+size*9/10 || after > before+size/2 {
		t.Errorf("%d bytes before, %d with %d more, %d after", before, with, size, after)
	}
}
