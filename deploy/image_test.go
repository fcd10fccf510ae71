package deploy

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// descriptor points to a blob of an image layout.
type descriptor struct {
	MediaType   string
	Digest      string
	Platform    struct{ OS, Architecture string }
	Annotations map[string]string
}

// imageConfig is what an engine has to know to run an image.
type imageConfig struct {
	OS, Architecture string
	Config           struct {
		User         string
		Env          []string
		Entrypoint   []string
		Cmd          []string
		Labels       map[string]string
		ExposedPorts map[string]struct{}
	}
}

// layoutOf reads image layouts.
type layoutOf string

func (l layoutOf) open(t *testing.T, digest string) *os.File {
	t.Helper()
	kind, sum, _ := strings.Cut(digest, ":")
	file, err := os.Open(filepath.Join(string(l), "blobs", kind, sum))
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// blob decodes a blob, whose digest has to be right.
func (l layoutOf) blob(t *testing.T, digest string, into any) {
	t.Helper()
	text, err := io.ReadAll(l.open(t, digest))
	must(t, err)
	if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(text)); sum != digest {
		t.Errorf("the blob %s has the digest %s", digest, sum)
	}
	must(t, json.Unmarshal(text, into))
}

// images are those of all platforms.
func (l layoutOf) images(t *testing.T) (all []descriptor, name string) {
	t.Helper()
	var top, index struct{ Manifests []descriptor }
	text, err := os.ReadFile(filepath.Join(string(l), "index.json"))
	must(t, err)
	must(t, json.Unmarshal(text, &top))
	if len(top.Manifests) != 1 {
		t.Fatalf("the layout has %d entries instead of one index", len(top.Manifests))
	}
	l.blob(t, top.Manifests[0].Digest, &index)
	return index.Manifests, top.Manifests[0].Annotations["io.containerd.image.name"]
}

// unpack puts the files of an image into a folder, as an engine does, and returns how it is to be run.
func (l layoutOf) unpack(t *testing.T, image descriptor, root string) imageConfig {
	t.Helper()
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	l.blob(t, image.Digest, &manifest)
	for _, layer := range manifest.Layers {
		packed, err := gzip.NewReader(l.open(t, layer.Digest))
		must(t, err)
		must(t, extract(packed, root))
	}
	var config imageConfig
	l.blob(t, manifest.Config.Digest, &config)
	return config
}

func extract(packed io.Reader, root string) error {
	for files := tar.NewReader(packed); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(root, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, h.FileInfo().Mode()))
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, path)
		case tar.TypeReg:
			err = writeFile(path, files, h.FileInfo().Mode())
		default:
			err = fmt.Errorf("%s is neither file, folder nor link", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

func writeFile(path string, from io.Reader, mode os.FileMode) error {
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// judgeConfig looks at how the image says it is to be run.
func judgeConfig(t *testing.T, c imageConfig) {
	t.Helper()
	user, _, _ := strings.Cut(c.Config.User, ":")
	if user == "" || user == "0" || strings.Trim(user, "0123456789") != "" {
		t.Errorf("the user is %q: Kubernetes can tell that it is not root only by a number", c.Config.User)
	}
	if !slices.Equal(c.Config.Entrypoint, []string{"/ko-app/broker"}) || !slices.Equal(c.Config.Cmd, []string{"serve"}) {
		t.Errorf("it runs %q %q", c.Config.Entrypoint, c.Config.Cmd)
	}
	if _, listed := c.Config.ExposedPorts["1521/tcp"]; !listed || c.Config.Labels["org.opencontainers.image.version"] != "1.2.3" {
		t.Errorf("ports %v, labels %v", c.Config.ExposedPorts, c.Config.Labels)
	}
}

// judgeFiles looks at what an image holds: the program, its names, and nothing else that could be run.
func judgeFiles(t *testing.T, root string) {
	t.Helper()
	for _, name := range []string{"broker", "cmctl", "lsnrctl", "tnsping"} {
		if to, err := os.Readlink(filepath.Join(root, "usr/local/bin", name)); err != nil || to != "/ko-app/broker" {
			t.Errorf("%s leads to %q: %v", name, to, err)
		}
	}
	var programs []string
	var size int64
	must(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		if info.Mode()&0o111 != 0 {
			programs = append(programs, strings.TrimPrefix(path, root))
		}
		if info.Mode()&(os.ModeSetuid|os.ModeSetgid|0o022) != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return nil
	}))
	for _, name := range []string{"LICENSE", "NOTICES", "sbom.json"} {
		if text, err := os.ReadFile(filepath.Join(root, "usr/share/doc/servicebroker", name)); err != nil || len(text) < 1000 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
	if !slices.Equal(programs, []string{"/ko-app/broker"}) {
		t.Errorf("programs are %q", programs)
	}
	t.Logf("%.1f MB unpacked", float64(size)/1e6)
	if authorities, err := os.ReadFile(root + "/etc/ssl/certs/ca-certificates.crt"); err != nil || strings.Count(string(authorities), "BEGIN CERTIFICATE") < 100 {
		t.Errorf("authorities: %v", err)
	}
}

// The image is built without engine and registry, is the same each time, and works as it is meant to be run.
func TestImage(t *testing.T) {
	module(t, "image")
	builder := built(t, "image", ".")
	first, second := filepath.Join(t.TempDir(), "image"), filepath.Join(t.TempDir(), "image")
	for _, out := range []string{first, second} {
		t.Log(output(t, builder, "-source", "..", "-out", out, "-version", "1.2.3"))
	}
	if one, other := digest(t, first+".tar"), digest(t, second+".tar"); one != other {
		t.Errorf("built twice, the image differs: %s and %s", one, other)
	}
	layout := layoutOf(first)
	images, name := layout.images(t)
	if name != "localhost/servicebroker:1.2.3" {
		t.Errorf("its name is %q", name)
	}
	judgeSaved(t, layout, images)
	machines := map[string]string{}
	for _, image := range images {
		root := t.TempDir()
		config := layout.unpack(t, image, root)
		judgeConfig(t, config)
		judgeFiles(t, root)
		machines[config.Architecture] = root
		if said := output(t, "go", "version", "-m", root+"/ko-app/broker"); !strings.Contains(said, "GOARCH="+image.Platform.Architecture) || !strings.Contains(said, "CGO_ENABLED=0") {
			t.Errorf("%s: built as\n%s", image.Platform.Architecture, said)
		}
	}
	if len(machines) != 2 || machines["amd64"] == "" || machines["arm64"] == "" {
		t.Fatalf("there are images for %v", machines)
	}
	t.Run("runs", func(t *testing.T) { testContainer(t, machines) })
}

// judgeSaved compares what engines that know no indexes get to see with the images.
func judgeSaved(t *testing.T, layout layoutOf, images []descriptor) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(string(layout), "manifest.json"))
	must(t, err)
	var all []struct {
		Config           string
		RepoTags, Layers []string
	}
	must(t, json.Unmarshal(text, &all))
	var names []string
	for i, one := range all {
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		layout.blob(t, images[i].Digest, &manifest)
		files := []string{one.Config}
		for _, file := range append(files, one.Layers...) {
			if sum := digest(t, filepath.Join(string(layout), file)); filepath.Base(file) != sum {
				t.Errorf("%s has the digest %s", file, sum)
			}
		}
		if len(one.Layers) != len(manifest.Layers) || filepath.Base(one.Config) != strings.TrimPrefix(manifest.Config.Digest, "sha256:") {
			t.Errorf("%+v is not %+v", one, manifest)
		}
		names = append(names, one.RepoTags...)
	}
	if got := strings.Join(names, " "); got != "localhost/servicebroker:1.2.3 localhost/servicebroker:1.2.3-arm64" {
		t.Errorf("names are %s", got)
	}
}

func digest(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(text))
}
