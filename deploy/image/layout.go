package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// withCommand has each image serve unless it is told otherwise.
func withCommand(index v1.ImageIndex) (v1.ImageIndex, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	all := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, each := range manifest.Manifests {
		image, err := index.Image(each.Digest)
		if err != nil {
			return nil, err
		}
		file, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		config := *file.Config.DeepCopy()
		config.Cmd = []string{"serve"}
		if image, err = mutate.Config(image, config); err != nil {
			return nil, err
		}
		all = mutate.AppendManifests(all, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: each.Platform}})
	}
	return all, nil
}

// write puts the index into a new layout under its name, and that into a tar file.
func (o *order) write(index v1.ImageIndex) error {
	if _, err := os.Stat(filepath.Join(o.out, "oci-layout")); err == nil {
		if err := os.RemoveAll(o.out); err != nil {
			return err
		}
	} else if left, err := os.ReadDir(o.out); err == nil && len(left) > 0 {
		return fmt.Errorf("%s is no image layout, and not empty: name another folder with -out", o.out)
	}
	path, err := layout.Write(o.out, empty.Index)
	if err != nil {
		return err
	}
	err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          o.reference(),
		"org.opencontainers.image.ref.name": o.version,
	}))
	if err != nil {
		return err
	}
	if err := o.describe(index); err != nil {
		return err
	}
	return o.pack()
}

// reference is the image's whole name.
func (o *order) reference() string { return "localhost/" + o.name + ":" + o.version }

// saved is an image in the manifest.json of an archive, as Docker knew them before indexes.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// describe adds a manifest.json for engines that load nothing without: one image for each machine, the first by the image's own
// name, the others with their machine's beside it.
func (o *order) describe(index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	var all []saved
	for i, each := range manifest.Manifests {
		image, err := index.Image(each.Digest)
		if err != nil {
			return err
		}
		parts, err := image.Manifest()
		if err != nil {
			return err
		}
		one := saved{Config: blob(parts.Config.Digest), RepoTags: []string{o.reference()}}
		if i > 0 {
			one.RepoTags[0] += "-" + each.Platform.Architecture
		}
		for _, layer := range parts.Layers {
			one.Layers = append(one.Layers, blob(layer.Digest))
		}
		all = append(all, one)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.out, "manifest.json"), text, 0o644)
}

// pack writes the layout's files into one, in the order of their names and without owners and times.
func (o *order) pack() (err error) {
	out, err := os.Create(o.out + ".tar")
	if err != nil {
		return err
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
	}()
	w := tar.NewWriter(out)
	root := os.DirFS(o.out)
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		file, err := root.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.Copy(w, file)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}
