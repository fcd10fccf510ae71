package stage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Lineage finds the processes that were started with an argument: a program and those that took over from it, which get
// its arguments. It asks the system, not the program.
type Lineage string

// Alive lists the processes that have not ended, by their numbers in the order of their starts.
func (l Lineage) Alive() ([]int, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	type process struct {
		id    int
		start uint64
	}
	var found []process
	for _, folder := range folders {
		line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil || !slices.ContainsFunc(bytes.Split(line, []byte{0}), func(a []byte) bool { return string(a) == string(l) }) {
			continue // others' processes come and go; one that has ended has no arguments any more
		}
		if start, err := startOf(folder); err == nil {
			id, _ := strconv.Atoi(filepath.Base(folder))
			found = append(found, process{id, start})
		}
	}
	slices.SortFunc(found, func(a, b process) int { return int(int64(a.start)-int64(b.start))*2 + a.id - b.id })
	ids := make([]int, len(found))
	for i, p := range found {
		ids[i] = p.id
	}
	return ids, nil
}

// startOf is when a process started, in ticks since the system did.
func startOf(folder string) (ticks uint64, err error) {
	stat, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name before may have blanks
	const state, starttime = 0, 19
	if len(fields) <= starttime || string(fields[state]) == "Z" || string(fields[state]) == "X" {
		return 0, errors.New("it has ended")
	}
	return strconv.ParseUint(string(fields[starttime]), 10, 64)
}

// Newest is the youngest of them.
func (l Lineage) Newest() (id int, err error) {
	all, err := l.Alive()
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("no process with the argument %s is alive", l)
	}
	if err != nil {
		return 0, err
	}
	return all[len(all)-1], nil
}

// Kill ends all of them, and those that they may have started meanwhile.
func (l Lineage) Kill() {
	for {
		all, err := l.Alive()
		if err != nil || len(all) == 0 {
			return
		}
		for _, id := range all {
			_ = syscall.Kill(id, syscall.SIGKILL)
		}
	}
}
