package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	binary = "/ko-app/broker" // where ko puts the program
	user   = "65532:0"        // any other works as well
	config = "/etc/servicebroker"
	state  = "/var/lib/servicebroker"
	docs   = "/usr/share/doc/servicebroker"
)

// entry is one file, folder or link of the base.
type entry struct {
	name   string // absolute; folders end in /
	link   string // what it is another name of
	text   string
	shared bool // a folder that any user may write
}

// entries is the whole base besides the program: names for people and tools, authorities, and nothing that runs.
func entries() []entry {
	all := []entry{
		{name: "/etc/"}, {name: "/etc/ssl/"}, {name: "/etc/ssl/certs/"}, {name: config + "/"},
		{name: "/usr/"}, {name: "/usr/local/"}, {name: "/usr/local/bin/"}, {name: "/usr/share/"}, {name: "/usr/share/doc/"}, {name: docs + "/"},
		{name: "/var/"}, {name: "/var/lib/"}, {name: state + "/", shared: true},
		{name: "/var/log/"}, {name: "/var/log/servicebroker/", shared: true}, {name: "/tmp/", shared: true},
		{name: "/etc/passwd", text: "root:x:0:0:root:/:/nonexistent\nservicebroker:x:65532:0:Service broker:" + state + ":/nonexistent\n"},
		{name: "/etc/group", text: "root:x:0:\nservicebroker:x:65532:\n"},
		{name: "/etc/nsswitch.conf", text: "hosts: files dns\n"},
		{name: "/etc/ssl/certs/ca-certificates.crt", text: authorities()},
	}
	for _, name := range []string{"broker", "cmctl", "lsnrctl", "tnsping"} {
		all = append(all, entry{name: "/usr/local/bin/" + name, link: binary})
	}
	return all
}

// authorities are those that browsers trust, as PEM.
func authorities() string {
	var text strings.Builder
	for root := range bundle.Roots() {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
	}
	return text.String()
}

// lists are what the program is made of, and under which terms it and that may be handed on.
func (o *order) lists(ctx context.Context) ([]entry, error) {
	folder, err := os.MkdirTemp("", "servicebroker-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	list := exec.CommandContext(ctx, "go", "-C", o.source, "run", "./scripts/sbom", "-version", o.version,
		"-o", filepath.Join(folder, "sbom.json"), "-notices", filepath.Join(folder, "NOTICES"))
	if said, err := list.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("list of what the broker is made of: %w: %s", err, said)
	}
	var all []entry
	for _, from := range []string{filepath.Join(o.source, "LICENSE"), filepath.Join(folder, "NOTICES"), filepath.Join(folder, "sbom.json")} {
		text, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		all = append(all, entry{name: docs + "/" + filepath.Base(from), text: string(text)})
	}
	return all, nil
}

// files is the tar file of the entries.
func files(all []entry, created v1.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range all {
		h := &tar.Header{Name: strings.TrimPrefix(e.name, "/"), ModTime: created.Time, Mode: 0o444, Size: int64(len(e.text)), Typeflag: tar.TypeReg}
		switch {
		case strings.HasSuffix(e.name, "/"):
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
			if e.shared {
				h.Mode = 0o1777
			}
		case e.link != "":
			h.Typeflag, h.Mode, h.Linkname = tar.TypeSymlink, 0o777, e.link
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// base is an empty image with the entries, once for each platform.
func (o *order) base(ctx context.Context, created v1.Time) (v1.ImageIndex, error) {
	lists, err := o.lists(ctx)
	if err != nil {
		return nil, err
	}
	text, err := files(append(entries(), lists...), created)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, text := range o.platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return nil, err
		}
		image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
			History: v1.History{Created: created, CreatedBy: "names, authorities and folders"}})
		if err != nil {
			return nil, err
		}
		if image, err = mutate.ConfigFile(image, o.configured(image, platform, created)); err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index, nil
}

// configured is how the image is to be run.
func (o *order) configured(image v1.Image, platform *v1.Platform, created v1.Time) *v1.ConfigFile {
	file, _ := image.ConfigFile() // made by us, and therefore there
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Variant, file.Created = platform.OS, platform.Architecture, platform.Variant, created
	file.Config = v1.Config{
		User:       user,
		WorkingDir: "/",
		Env: []string{
			"PATH=" + path.Dir("/usr/local/bin/broker"),
			"HOME=" + state,
			"TNS_ADMIN=" + config,
			"STATE_DIRECTORY=" + state,
			"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
		},
		ExposedPorts: map[string]struct{}{"1521/tcp": {}, "9521/tcp": {}},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "servicebroker",
			"org.opencontainers.image.description": "Service broker for Oracle Net",
			"org.opencontainers.image.version":     o.version,
			"org.opencontainers.image.licenses":    "Apache-2.0",
		},
	}
	return file
}
