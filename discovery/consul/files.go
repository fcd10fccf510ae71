package consul

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/hashicorp/consul/api"
)

// Files is what certmagic keeps accounts, keys and certificates in, where brokers share a name that clients know them by: Consul's store
// of keys and values, in which everything is sealed. A copy of what was issued holds while Consul is away, or has lost its memory; nothing
// is issued meanwhile. It is a [certmagic.Storage].
type Files struct {
	Client *Client
	Secret []byte                 // alike at all brokers; whoever has it and can read Consul has all keys
	Copy   *certmagic.FileStorage // of what was issued
	Log    *slog.Logger

	mu    sync.Mutex // guards what follows
	seal  cipher.AEAD
	locks map[string]*fileLock // that are held here, by name
	away  time.Time            // until then reads do not wait for Consul
}

const (
	sealedFormat = 1
	minSecret    = 16 // bytes
	maxSealed    = 512 << 10
	readTime     = 2 * time.Second // for one read: a handshake may wait for it
	awayTime     = 5 * time.Second // in which Consul is not asked again after a read that failed
)

// Check tells whether the secret will do.
func (f *Files) Check() error {
	_, err := f.sealer()
	return err
}

func (f *Files) sealer() (cipher.AEAD, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seal != nil {
		return f.seal, nil
	}
	if len(f.Secret) < minSecret {
		return nil, fmt.Errorf("the secret has %d bytes, too few: give at least %d random ones, such as openssl rand -base64 32 writes", len(f.Secret), minSecret)
	}
	key, err := hkdf.Key(sha256.New, f.Secret, nil, "certificates shared by brokers", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	f.seal, err = cipher.NewGCM(block)
	return f.seal, err
}

func (f *Files) path(key string) string { return f.Client.Folder() + "acme/" + key }

// kept tells whether a copy is kept of a key: not of proofs, which are for minutes and for any broker to show.
func kept(key string) bool { return !strings.Contains(key, "/challenge_tokens/") }

// sealed seals a value, which is worth nothing under another key.
func (f *Files) sealed(key string, value []byte) ([]byte, error) {
	seal, err := f.sealer()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, seal.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	plain := append(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano())), value...)
	return seal.Seal(append([]byte{sealedFormat}, nonce...), nonce, plain, []byte(key)), nil
}

// unseal is the opposite of sealed.
func (f *Files) unseal(key string, sealed []byte) (value []byte, modified time.Time, err error) {
	seal, err := f.sealer()
	if err != nil {
		return nil, time.Time{}, err
	}
	if len(sealed) < 1+seal.NonceSize() || len(sealed) > maxSealed || sealed[0] != sealedFormat {
		return nil, time.Time{}, fmt.Errorf("%s in Consul is nothing that this version wrote: remove it there", f.path(key))
	}
	nonce, rest := sealed[1:1+seal.NonceSize()], sealed[1+seal.NonceSize():]
	plain, err := seal.Open(nil, nonce, rest, []byte(key))
	if err != nil || len(plain) < 8 {
		return nil, time.Time{}, fmt.Errorf("%s in Consul was sealed with another secret, or has been changed: give all brokers the same ACME_SHARED_KEY, or remove it there", f.path(key))
	}
	return plain[8:], time.Unix(0, int64(binary.BigEndian.Uint64(plain))), nil
}

// fetch reads what is in Consul, fs.ErrNotExist if there is nothing. Consul is not waited for where it was away just now.
func (f *Files) fetch(ctx context.Context, key string) (value []byte, modified time.Time, err error) {
	var pair *api.KVPair
	err = f.reading(ctx, func(kv *api.KV, q *api.QueryOptions) (err error) {
		pair, _, err = kv.Get(f.path(key), q)
		return err
	})
	switch {
	case err != nil:
		return nil, time.Time{}, err
	case pair == nil:
		return nil, time.Time{}, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return f.unseal(key, pair.Value)
}

var errAway = errors.New("no answer from Consul a moment ago")

// reading asks Consul, for readTime at most.
func (f *Files) reading(ctx context.Context, ask func(*api.KV, *api.QueryOptions) error) error {
	f.mu.Lock()
	away := time.Now().Before(f.away)
	f.mu.Unlock()
	if away {
		return errAway
	}
	client, err := f.Client.open()
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	q, done := f.Client.query(bounded)
	defer done()
	err = ask(client.KV(), q)
	if err != nil && ctx.Err() == nil {
		f.mu.Lock()
		f.away = time.Now().Add(awayTime)
		f.mu.Unlock()
	}
	return err
}

// writing changes something in Consul.
func (f *Files) writing(ctx context.Context, change func(*api.KV, *api.WriteOptions) error) error {
	client, err := f.Client.open()
	if err != nil {
		return err
	}
	w, cancel := f.Client.writing(ctx)
	defer cancel()
	return change(client.KV(), w)
}

// Load returns what Consul has, and where it has nothing or cannot be believed, what the copy has.
func (f *Files) Load(ctx context.Context, key string) ([]byte, error) {
	value, _, err := f.load(ctx, key)
	return value, err
}

func (f *Files) load(ctx context.Context, key string) ([]byte, time.Time, error) {
	value, modified, err := f.fetch(ctx, key)
	if !kept(key) {
		return value, modified, err
	}
	if err == nil {
		f.keep(ctx, key, value)
		return value, modified, nil
	}
	own, copyErr := f.Copy.Load(ctx, key)
	if copyErr != nil {
		return nil, time.Time{}, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		f.putBack(ctx, key, own)
	} else if !errors.Is(err, errAway) {
		f.warn("a copy of what brokers share through Consul is used", key, err)
	}
	return own, time.Now(), nil
}

// keep has the copy follow.
func (f *Files) keep(ctx context.Context, key string, value []byte) {
	if own, err := f.Copy.Load(ctx, key); err == nil && string(own) == string(value) {
		return
	}
	if err := f.Copy.Store(ctx, key, value); err != nil {
		f.warn("no copy can be kept of what brokers share through Consul", key, err)
	}
}

// putBack restores what a Consul that has lost its memory does not have any more, unless another broker was faster.
func (f *Files) putBack(ctx context.Context, key string, value []byte) {
	sealed, err := f.sealed(key, value)
	if err == nil {
		err = f.writing(ctx, func(kv *api.KV, w *api.WriteOptions) error {
			_, _, err := kv.CAS(&api.KVPair{Key: f.path(key), Value: sealed}, w)
			return err
		})
	}
	if err != nil {
		f.warn("what Consul has lost cannot be put back", key, err)
	}
}

func (f *Files) warn(what, key string, err error) {
	if f.Log != nil {
		f.Log.Warn(what, "key", key, "cause", err.Error())
	}
}

// Store writes the copy first: what has been issued is not lost because Consul is away. Whoever called then knows that others do not have it.
func (f *Files) Store(ctx context.Context, key string, value []byte) error {
	if kept(key) {
		if err := f.Copy.Store(ctx, key, value); err != nil {
			return err
		}
	}
	sealed, err := f.sealed(key, value)
	if err != nil {
		return err
	}
	if len(sealed) > maxSealed {
		return fmt.Errorf("%s has %d bytes, too many for Consul", key, len(value))
	}
	return f.writing(ctx, func(kv *api.KV, w *api.WriteOptions) error {
		_, err := kv.Put(&api.KVPair{Key: f.path(key), Value: sealed}, w)
		return err
	})
}

// Delete removes a key, and all below it.
func (f *Files) Delete(ctx context.Context, key string) error {
	err := f.writing(ctx, func(kv *api.KV, w *api.WriteOptions) error {
		if _, err := kv.Delete(f.path(key), w); err != nil {
			return err
		}
		_, err := kv.DeleteTree(f.path(key)+"/", w)
		return err
	})
	if err == nil && kept(key) {
		err = f.Copy.Delete(ctx, key)
	}
	return err
}

// Exists tells whether there is something at a key, or below it.
func (f *Files) Exists(ctx context.Context, key string) bool {
	_, err := f.Stat(ctx, key)
	return err == nil
}

// Stat tells about a key.
func (f *Files) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, modified, err := f.load(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: modified, Size: int64(len(value)), IsTerminal: true}, nil
	}
	if below, listErr := f.List(ctx, key, false); listErr == nil && len(below) > 0 {
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, err
}

// List returns the keys below a path: all of them, or only those of the next level.
func (f *Files) List(ctx context.Context, below string, recursive bool) ([]string, error) {
	separator := "/"
	if recursive {
		separator = ""
	}
	var found []string
	err := f.reading(ctx, func(kv *api.KV, q *api.QueryOptions) (err error) {
		found, _, err = kv.Keys(f.path(strings.TrimSuffix(below, "/")+"/"), separator, q)
		return err
	})
	if err != nil || len(found) == 0 {
		return f.Copy.List(ctx, below, recursive)
	}
	for i, key := range found {
		found[i] = path.Clean(strings.TrimPrefix(key, f.path("")))
	}
	return found, nil
}
