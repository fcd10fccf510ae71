package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"servicebroker/broker"
)

func TestAccounts(t *testing.T) {
	for _, c := range []struct {
		p    broker.Privileges
		want string // user, group and groups; or part of the error
	}{
		{broker.Privileges{User: "nobody"}, "nobody 65534 65534"},
		{broker.Privileges{User: "65534"}, "nobody 65534 65534"},
		{broker.Privileges{User: "nobody", Group: "0"}, "nobody 65534 0 [0"},
		{broker.Privileges{User: "nobody", Group: "64321"}, "nobody 65534 64321 [64321"},
		{broker.Privileges{User: "64321", Group: "nogroup"}, "64321 64321 65534 [65534]"},
		{broker.Privileges{User: "64321"}, "no user 64321, and so no group of it: name one in RUN_AS_GROUP"},
		{broker.Privileges{User: "nosuchuser"}, `no user "nosuchuser": make it with useradd`},
		{broker.Privileges{User: "-1", Group: "0"}, `no user "-1"`},
		{broker.Privileges{User: "nobody", Group: "nosuchgroup"}, `no group "nosuchgroup": make it with groupadd`},
		{broker.Privileges{User: "nobody", Group: "-7"}, `no group "-7"`},
		{broker.Privileges{User: "0"}, "RUN_AS_USER is root"},
		{broker.Privileges{User: "root"}, "RUN_AS_USER is root"},
	} {
		a, err := accountOf(c.p)
		got := fmt.Sprint(a.name, " ", a.user, " ", a.group, " ", a.groups)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.p, got, c.want)
		}
		if err == nil && (a.groups[0] != a.group || slices.Contains(a.groups[1:], a.group)) {
			t.Errorf("%+v: groups are %v", c.p, a.groups)
		}
	}
}

// Folders are made for the user where root alone could have put something in their way, and nowhere else.
func TestFoldersForTheUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes folders for others: run the tests as root")
	}
	own, err := os.MkdirTemp("/var/lib", "privileges-test-") // which is root's, as are all above it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(own) })
	if err := os.Chmod(own, 0o755); err != nil {
		t.Fatal(err)
	}
	user := account{user: 64321, group: 64322}
	path := filepath.Join(own, "some", "where")
	for range 2 { // what is there stays
		if err := makeFolder(path, user); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if of := info.Sys().(*syscall.Stat_t); of.Uid != 64321 || of.Gid != 64322 || info.Mode().Perm() != 0o700 {
		t.Errorf("it belongs to %d:%d and has the mode %v", of.Uid, of.Gid, info.Mode())
	}
	if above, err := os.Stat(filepath.Dir(path)); err != nil || above.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the folder above it: %+v %v", above, err)
	}
	theirs := t.TempDir() // below /tmp, where anybody may make links
	link := filepath.Join(theirs, "link")
	if err := os.Symlink(own, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(own, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(theirs, "a"), filepath.Join(path, "a"), filepath.Join(link, "b", "c"), filepath.Join(own, "d")} {
		if err := makeFolder(path, user); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was made: %v", path, err)
		}
	}
}

// A wrong file counts as no way to upgrade.
func TestExecutable(t *testing.T) {
	if err := executable(os.Args[0]); err != nil {
		t.Error(err)
	}
}

func TestWaysBackAreFound(t *testing.T) {
	if err := noWayBack(account{user: os.Getuid() + 1, group: os.Getgid()}, 0); !errors.Is(err, errWayBack) {
		t.Errorf("another user: %v", err)
	}
	if err := noWayBack(account{user: os.Getuid(), group: os.Getgid() + 1}, 0); !errors.Is(err, errWayBack) {
		t.Errorf("another group: %v", err)
	}
	if os.Geteuid() == 0 {
		if err := noWayBack(account{user: 0, group: 0}, 0); !errors.Is(err, errWayBack) {
			t.Errorf("root: %v", err)
		}
	}
}
