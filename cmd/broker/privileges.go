package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"servicebroker/broker"
)

// account is a user as the system knows it.
type account struct {
	name   string
	user   int
	group  int
	groups []int // all, group among them
}

// accountOf finds the user and group that a configuration names, each by name or number.
func accountOf(p broker.Privileges) (account, error) {
	a := account{name: p.User, group: -1}
	found, err := user.Lookup(p.User)
	if err != nil {
		found, err = user.LookupId(p.User)
	}
	if err == nil {
		a.name = found.Username
		a.user, _ = strconv.Atoi(found.Uid)
		a.group, _ = strconv.Atoi(found.Gid)
		a.groups = groupsOf(found)
	} else if a.user, err = strconv.Atoi(p.User); err != nil || a.user < 0 {
		return a, fmt.Errorf("RUN_AS_USER: this host has no user %q: make it with useradd, or name another", p.User)
	}
	if p.Group != "" {
		if a.group, err = groupNumber(p.Group); err != nil {
			return a, err
		}
	}
	switch {
	case a.user == 0:
		return a, errors.New("RUN_AS_USER is root, who is who started it: name a user without privileges, or leave it out")
	case a.group < 0:
		return a, fmt.Errorf("RUN_AS_USER: this host knows no user %s, and so no group of it: name one in RUN_AS_GROUP", p.User)
	}
	a.groups = slices.Compact(append([]int{a.group}, slices.DeleteFunc(a.groups, func(g int) bool { return g == a.group || g == 0 && p.Group != "" })...))
	return a, nil
}

// groupsOf are the groups that the system has a user in.
func groupsOf(u *user.User) (all []int) {
	ids, err := u.GroupIds()
	if err != nil {
		return nil
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func groupNumber(text string) (int, error) {
	found, err := user.LookupGroup(text)
	if err != nil {
		found, err = user.LookupGroupId(text)
	}
	if err == nil {
		text = found.Gid
	}
	n, failed := strconv.Atoi(text)
	if failed != nil || n < 0 {
		return -1, fmt.Errorf("RUN_AS_GROUP: this host has no group %q: make it with groupadd, or name another", text)
	}
	return n, nil
}

// is tells whether this process runs as the account already.
func (a account) is() bool { return os.Geteuid() == a.user && os.Getuid() == a.user }

// confine gives up for good what a configuration does not grant; see broker.Process. What cannot be had in this build or on this
// system is a warning where the broker is no worse off than without, and an error where it would go on as root.
func confine(p broker.Privileges, folders []string) (as string, warnings []string, err error) {
	warn := func(what string, err error) {
		if err != nil {
			warnings = append(warnings, what+": "+err.Error())
		}
	}
	switch root := os.Geteuid() == 0; {
	case p.User == "" && p.Group != "":
		return "", nil, errors.New("RUN_AS_GROUP goes with RUN_AS_USER: name the user, too, or take it out")
	case p.User == "" && root:
		warnings = append(warnings, "it runs as root: name a user without privileges in RUN_AS_USER, or have whatever starts it start it as one")
	case p.User != "":
		a, err := accountOf(p)
		if err != nil {
			return "", nil, err
		}
		as = a.name
		switch {
		case root:
			for _, folder := range folders {
				warn("RUN_AS_USER: folder "+folder, makeFolder(folder, a))
			}
			if err := become(a, p.LowPorts); err != nil {
				return "", nil, fmt.Errorf("RUN_AS_USER: %w", err)
			}
			warn("RUN_AS_USER: upgrades will fail, "+as+" may not execute the program", executable(os.Args[0]))
		case !a.is():
			warnings = append(warnings, fmt.Sprintf("RUN_AS_USER=%s has no effect: the process was not started by root, and goes on as user %d", p.User, os.Geteuid()))
			as = ""
		}
	}
	if p.NoNew {
		warn("NO_NEW_PRIVILEGES: programs that it starts may have more rights than it has", noNewPrivileges())
	}
	warn("CORE_DUMPS", coreDumps(p.CoreDumps))
	return as, warnings, nil
}

// executable tells why this process may not start its program again.
func executable(called string) error {
	self, err := thisProgram()
	if err != nil {
		return err
	}
	if self.path == "" {
		self.path = called
	}
	if err := unix.Faccessat(unix.AT_FDCWD, self.path, unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s: %w", self.path, err)
	}
	return nil
}

// makeFolder makes a folder that is missing, for a user. It does so only where nobody but root could have put something in its
// way; elsewhere it is the user's own to make. What is there already stays as it is.
func makeFolder(path string, owner account) error {
	var missing []string
	there := filepath.Clean(path)
	for {
		_, err := os.Lstat(there)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || there == filepath.Dir(there) {
			return err
		}
		missing = append(missing, there)
		there = filepath.Dir(there)
	}
	if len(missing) == 0 {
		return nil
	}
	if resolved, err := filepath.EvalSymlinks(there); err != nil || !rootAlone(resolved) {
		return err
	}
	for i, folder := range slices.Backward(missing) {
		mode := os.FileMode(0o755)
		if i == 0 {
			mode = 0o700
		}
		if err := os.Mkdir(folder, mode); err != nil {
			return err
		}
	}
	return os.Lchown(missing[0], owner.user, owner.group)
}

// rootAlone tells whether nobody but root can change what a path, which is without links, leads to.
func rootAlone(path string) bool {
	for {
		info, err := os.Lstat(path)
		if err != nil {
			return false
		}
		of, ok := info.Sys().(*syscall.Stat_t)
		if !ok || of.Uid != 0 || info.Mode().Perm()&0o022 != 0 {
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
		path = filepath.Dir(path)
	}
}
