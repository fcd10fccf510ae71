// Command image builds the container image: the one static binary over an empty base, for several architectures. It
// needs neither a container engine nor a registry. The result is an OCI image layout, as a folder and as a tar file, the
// same to the byte for the same source and toolchain.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/ko/pkg/build"
)

// program is what the image holds.
const program = "servicebroker/cmd/broker"

// order is what is to be built.
type order struct {
	source    string   // folder of the broker's module
	out       string   // folder for the layout; the tar file goes beside it, as FOLDER.tar
	name      string   // by which engines will know the image
	version   string   // label, and tag of the name
	platforms []string // linux/amd64 …
}

func main() {
	log.SetFlags(0)
	log.SetOutput(io.Discard) // ko's progress
	var o order
	flag.StringVar(&o.source, "source", "../..", "folder of the broker's module")
	flag.StringVar(&o.out, "out", "../../bin/image", "folder for the OCI image layout, made anew; FOLDER.tar is the same in one file")
	flag.StringVar(&o.name, "name", "servicebroker", "name of the image")
	flag.StringVar(&o.version, "version", "0.1.0", "its version and tag")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "for which machines")
	flag.Parse()
	o.platforms = strings.Split(*platforms, ",")
	if err := o.make(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// make builds, writes, and says what there is now.
func (o *order) make(ctx context.Context, told io.Writer) error {
	created := v1.Time{Time: sourceTime(ctx, o.source)}
	base, err := o.base(ctx, created)
	if err != nil {
		return err
	}
	builder, err := build.NewGo(ctx, o.source,
		build.WithBaseImages(func(context.Context, string) (name.Reference, build.Result, error) {
			reference, err := name.ParseReference("scratch")
			return reference, base, err
		}),
		build.WithPlatforms(o.platforms...),
		build.WithDefaultFlags([]string{"-trimpath", "-buildvcs=auto", "-tags=timetzdata"}),
		build.WithDefaultLdflags([]string{"-s", "-w"}),
		build.WithCreationTime(created),
		build.WithKoDataCreationTime(created),
		build.WithDisabledSBOM(),
	)
	if err != nil {
		return err
	}
	built, err := builder.Build(ctx, build.StrictScheme+program)
	if err != nil {
		return err
	}
	index, ok := built.(v1.ImageIndex)
	if !ok {
		return errors.New("name two platforms or more: one alone makes no index")
	}
	if index, err = withCommand(index); err != nil {
		return err
	}
	if err := o.write(index); err != nil {
		return err
	}
	return o.tell(told, index)
}

// sourceTime is when the source was last changed: $SOURCE_DATE_EPOCH, else its last commit, else 1970.
func sourceTime(ctx context.Context, source string) time.Time {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, _ := exec.CommandContext(ctx, "git", "-C", source, "log", "-1", "--format=%ct").Output()
		text = strings.TrimSpace(string(out))
	}
	seconds, _ := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0).UTC()
}

// tell lists the images with their digests and sizes.
func (o *order) tell(told io.Writer, index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, each := range manifest.Manifests {
		image, err := index.Image(each.Digest)
		if err != nil {
			return err
		}
		layers, err := image.Layers()
		if err != nil {
			return err
		}
		var size int64
		for _, layer := range layers {
			n, err := layer.Size()
			if err != nil {
				return err
			}
			size += n
		}
		fmt.Fprintf(told, "%-12s %s  %.1f MB compressed\n", each.Platform, each.Digest, float64(size)/1e6)
	}
	info, err := os.Stat(o.out + ".tar")
	if err != nil {
		return err
	}
	fmt.Fprintf(told, "%s  %.1f MB, as %s\n", filepath.Clean(o.out+".tar"), float64(info.Size())/1e6, o.reference())
	return nil
}
