package broker

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Privileges are what a process that has bound its ports may do to its machine yet.
type Privileges struct {
	User      string // RUN_AS_USER, a name or number; empty: whoever started it
	Group     string // RUN_AS_GROUP, a name or number; empty: the user's
	LowPorts  bool   // RUN_AS_LOW_PORTS: ports below 1024 can be bound later as well
	NoNew     bool   // NO_NEW_PRIVILEGES: nor can anything be gained by a program that it starts
	CoreDumps bool   // CORE_DUMPS: its memory, keys and passwords with it, may be written to a file
}

// runAsState is below which folder the state is where the configuration names a user: one folder for whoever
// asks for it, and none of a home that the user may not enter.
const runAsState = "/var/lib/servicebroker"

// privilegeParameters are about the process's rights on its machine.
func privilegeParameters() []Parameter {
	return []Parameter{
		{Name: "CORE_DUMPS", Kind: KindOurs, Default: "off", Range: "on, off", Meaning: "on: a crash may leave an image of the memory, and debuggers of the same user may look into it", Cost: "on: keys, passwords and what sessions carry may end up in a file", set: onOff(func(c *Config) *bool { return &c.Privileges.CoreDumps })},
		{Name: "NO_NEW_PRIVILEGES", Kind: KindOurs, Default: "on", Range: "on, off", Meaning: "on: nothing that the process starts, a successor included, has more rights than it has, whatever the program's file says", Cost: "off is for a program whose file has capabilities that an upgrade is to gain", set: onOff(func(c *Config) *bool { return &c.Privileges.NoNew })},
		{Name: "RUN_AS_GROUP", Kind: KindOurs, Default: "the user's", Range: "name, number", Meaning: "the group of RUN_AS_USER's process, besides those that the system has the user in", Cost: "see RUN_AS_USER", set: text(func(c *Config) *string { return &c.Privileges.Group })},
		{Name: "RUN_AS_LOW_PORTS", Kind: KindOurs, Default: "off", Range: "on, off", Meaning: "on: the process of RUN_AS_USER keeps the right to bind ports below 1024, and passes it on to its successors", Cost: "off: such a port that is new with an upgrade cannot be bound; those that are bound stay", set: onOff(func(c *Config) *bool { return &c.Privileges.LowPorts })},
		{Name: "RUN_AS_USER", Kind: KindOurs, Default: "who started it", Range: "name, number", Meaning: "the user as which a broker that root started goes on for good once its ports are bound; the state is in " + runAsState + "/<instance> unless STATE_DIRECTORY says otherwise", Cost: "files that the configuration names have to be readable for that user, and its folders writable", set: text(func(c *Config) *string { return &c.Privileges.User })},
	}
}

// confine gives up what the process needs no more once its ports are bound. Whatever is opened later is opened with the rights
// that are left, so that a file that only root may read is found missing now, and not by a reload.
func (b *Broker) confine() error {
	give := b.process.Confine
	if give == nil {
		return nil
	}
	as, warnings, err := give(b.config.Privileges, b.config.ownFolders())
	if err != nil {
		return err
	}
	b.runsAs = as
	for _, warning := range warnings {
		b.log.Warn(warning)
	}
	if as == "" {
		return nil
	}
	for _, path := range slices.Sorted(maps.Keys(b.config.read)) {
		file, err := os.Open(path)
		if err == nil {
			err = file.Close()
		}
		if errors.Is(err, fs.ErrPermission) {
			b.log.Warn("the configuration was read as root and cannot be read any more: reloads and upgrades will fail", "file", path, "user", as, "remedy", "let "+as+" read it, and enter its folder")
		}
	}
	return nil
}

// ownFolders are those that are to be the user's as whom the broker runs.
func (c *Config) ownFolders() []string {
	state, _ := c.stateDirectory() // whoever opens it says what is wrong
	all := []string{state, c.LogDirectory, c.TraceDirectory}
	if c.AdminSocket != "" {
		all = append(all, filepath.Dir(c.AdminSocket))
	}
	return slices.DeleteFunc(all, func(path string) bool { return !filepath.IsAbs(path) })
}

// refusedTo words an error that may be one of the rights that were given up.
func (b *Broker) refusedTo(err error) error {
	if b.runsAs == "" || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w (by RUN_AS_USER this process is %s: give that user the right, for example with chown)", err, b.runsAs)
}

// stateFor is the state folder of an instance where the configuration names none.
func (p Privileges) stateFor(instance string) (string, error) {
	if p.User == "" || os.Getenv("STATE_DIRECTORY") != "" {
		return StateDirectoryFor(instance)
	}
	return filepath.Join(runAsState, strings.ReplaceAll(cmp.Or(instance, DefaultName), "/", "_")), nil
}
