// Command packages builds the deb and rpm packages: the broker with its units, and the names of Oracle's tools for it.
// What is in them is in the .yaml files beside this; the same source and toolchain give the same bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// order is what is to be built.
type order struct {
	out     string // folder for the packages
	version string
	changed time.Time // of all files
}

func main() {
	var o order
	flag.StringVar(&o.out, "out", "../bin/packages", "folder for the packages, relative to deploy")
	flag.StringVar(&o.version, "version", "0.1.0", "their version")
	machines := flag.String("machines", "amd64,arm64", "for which machines")
	flag.Parse()
	if err := o.all(context.Background(), strings.Split(*machines, ","), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

// all builds the packages for each machine, and those for any, in every format.
func (o *order) all(ctx context.Context, machines []string, told io.Writer) error {
	if err := os.Chdir(".."); err != nil { // paths in the .yaml files are relative to deploy
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	o.changed = sourceTime(ctx)
	folder, err := os.MkdirTemp("", "servicebroker-packages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := o.list(ctx, folder); err != nil {
		return err
	}
	for _, machine := range machines {
		program := filepath.Join(folder, machine, "broker")
		if err := compile(ctx, machine, program); err != nil {
			return err
		}
		if err := o.each("servicebroker", machine, folder, told); err != nil {
			return err
		}
	}
	return o.each("servicebroker-tools", "all", "", told)
}

// sourceTime is when the source was last changed: $SOURCE_DATE_EPOCH, else its last commit, else 1970.
func sourceTime(ctx context.Context) time.Time {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, _ := exec.CommandContext(ctx, "git", "log", "-1", "--format=%ct").Output()
		text = strings.TrimSpace(string(out))
	}
	seconds, _ := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0).UTC()
}

// compile builds the broker for a machine.
func compile(ctx context.Context, machine, program string) error {
	command := exec.CommandContext(ctx, "go", "-C", "..", "build", "-trimpath", "-buildvcs=auto", "-ldflags=-s -w", "-o", program, "./cmd/broker")
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+machine)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go build for %s: %w: %s", machine, err, said)
	}
	return nil
}

// list writes what the broker is made of, and under which terms, into a folder.
func (o *order) list(ctx context.Context, folder string) error {
	command := exec.CommandContext(ctx, "go", "-C", "..", "run", "./scripts/sbom", "-version", o.version,
		"-o", filepath.Join(folder, "sbom.json"), "-notices", filepath.Join(folder, "NOTICES"))
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("list of what the broker is made of: %w: %s", err, said)
	}
	return nil
}

// each writes one package in every format, of what is in a folder.
func (o *order) each(name, machine, folder string, told io.Writer) error {
	values := map[string]string{"ARCH": machine, "VERSION": o.version, "BINARY": filepath.Join(folder, machine, "broker"), "LISTS": folder}
	for _, format := range []string{"deb", "rpm"} {
		config, err := nfpm.ParseFileWithEnvMapping(filepath.Join("packages", name+".yaml"), func(key string) string { return values[key] })
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		info, err := config.Get(format)
		if err != nil {
			return err
		}
		info = nfpm.WithDefaults(info)
		info.MTime = o.changed
		packager, err := nfpm.Get(format)
		if err != nil {
			return err
		}
		if err := o.write(info, packager, told); err != nil {
			return fmt.Errorf("%s for %s as %s: %w", name, machine, format, err)
		}
	}
	return nil
}

func (o *order) write(info *nfpm.Info, packager nfpm.Packager, told io.Writer) error {
	path := filepath.Join(o.out, packager.ConventionalFileName(info))
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	err = packager.Package(info, file)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	stat, err := os.Stat(path)
	if err == nil {
		_, err = fmt.Fprintf(told, "%s  %.1f MB\n", path, float64(stat.Size())/1e6)
	}
	return err
}
