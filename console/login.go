package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Logins tells who asks by the credentials of a file. The zero value with a File lets nobody in before Load. It must not be
// copied.
type Logins struct {
	File string
	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil is silent

	mu       sync.Mutex
	kept     *credentials
	looked   time.Time // when the file was looked at last
	state    fileState // as it was then
	verified map[[sha256.Size]byte]verified
	failures failures

	wrong atomic.Uint64
	try   func(hash, password string) bool // nil: isPassword

	working sync.Once
	work    chan struct{} // has room for those who may try a password at a time
	waiting chan struct{} // and for those who wait for that
}

// credentials are those of a file. They never change.
type credentials struct {
	secret [sha256.Size]byte // keys what is remembered of passwords, so that none is remembered longer than the file is in use
	byName map[string]*Credential
	tokens map[string]*Credential // by their hash
	all    []Credential
	decoys []string // hashes that are tried where the name is not known
}

// verified is a password that was found right, known by its keyed hash alone.
type verified struct {
	credential *Credential
	until      time.Time
}

// fileState tells one content of a file from another.
type fileState struct {
	modified time.Time
	size     int64
	mode     os.FileMode
	inode    uint64
}

// stateOf looks at a file, whatever links lead to it.
func stateOf(path string) (fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}, err
	}
	state := fileState{modified: info.ModTime(), size: info.Size(), mode: info.Mode()}
	if system, ok := info.Sys().(*syscall.Stat_t); ok {
		state.inode = system.Ino
	}
	return state, nil
}

// How long and how much is remembered, and how often the file is looked at.
const (
	verifiedFor   = 15 * time.Minute // since a password was last used
	maxVerified   = 4096
	lookInterval  = time.Second
	maxSecret     = 1024 // bytes of a password or token
	maxWaiting    = 64   // passwords that wait to be tried
	waitForTrying = 5 * time.Second
)

// Errors of Logins.
var (
	errNoLogin    = errors.New("credentials are needed here")
	errWrongLogin = errors.New("these credentials are not known here")
	errBusyLogin  = errors.New("too many logins at a time")
)

// tooManyFailures is the error of an address that has to wait before it may try again.
type tooManyFailures struct{ wait time.Duration }

func (tooManyFailures) Error() string { return "too many wrong credentials came from this address" }

// Load reads the file. After an error, which says what to do, those read before stay in force.
func (l *Logins) Load() error {
	state, _ := stateOf(l.File) // before it is read: what changes meanwhile is seen as a change
	all, err := ReadCredentials(l.File)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looked, l.state = l.now(), state
	if err != nil {
		return err
	}
	if l.kept == nil || !slices.EqualFunc(all, l.kept.all, func(a, b Credential) bool { return a.String() == b.String() }) {
		l.keep(all)
	}
	return nil
}

// keep puts credentials in force. What was remembered of earlier ones is forgotten.
func (l *Logins) keep(all []Credential) {
	kept := &credentials{all: all, byName: map[string]*Credential{}, tokens: map[string]*Credential{}}
	_, _ = rand.Read(kept.secret[:]) // which never fails
	for i := range all {
		c := &all[i]
		if c.Token != "" {
			kept.tokens[c.Token] = c
			continue
		}
		kept.byName[c.Name] = c
		kept.decoys = append(kept.decoys, c.Password)
	}
	if len(kept.decoys) == 0 {
		kept.decoys = []string{HashPassword("")}
	}
	l.kept, l.verified = kept, map[[sha256.Size]byte]verified{}
}

// current returns the credentials in force; if the file has changed, those that it has now. One that is gone lets nobody in, one
// that is wrong changes nothing.
func (l *Logins) current() *credentials {
	l.mu.Lock()
	now := l.now()
	look := now.Sub(l.looked) >= lookInterval
	if !look {
		defer l.mu.Unlock()
		return l.kept
	}
	l.looked = now
	before := l.state
	l.mu.Unlock()
	state, err := stateOf(l.File)
	switch {
	case errors.Is(err, os.ErrNotExist):
		l.mu.Lock()
		if l.state != (fileState{}) {
			l.log(slog.LevelError, "the file of credentials is gone: nobody is let in", "file", l.File)
		}
		l.state = fileState{}
		l.keep(nil)
		l.mu.Unlock()
	case err == nil && state != before:
		if err := l.Load(); err != nil {
			l.log(slog.LevelError, "the file of credentials has changed and cannot be used: those of before stay in force", "cause", err.Error())
		} else {
			l.log(slog.LevelInfo, "the file of credentials has changed and is in force", "file", l.File)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept
}

// knows tells whether a credential is still in force as it was.
func (l *Logins) knows(c *Credential) bool {
	kept := l.current()
	return kept != nil && slices.ContainsFunc(kept.all, func(one Credential) bool { return one.String() == c.String() })
}

// Check returns who makes a request that comes from a host.
func (l *Logins) Check(r *http.Request, host netip.Addr) (*Credential, error) {
	kept := l.current()
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if kept == nil || len(r.Header.Values("Authorization")) > 1 {
		return nil, errWrongLogin
	}
	switch {
	case strings.EqualFold(scheme, schemeBearer):
		token := strings.TrimSpace(rest)
		if c := kept.tokens[HashToken(token)]; c != nil && len(token) <= maxSecret { // nobody guesses one, however often he tries
			return c, nil
		}
		return nil, l.failed(host, errWrongLogin)
	case strings.EqualFold(scheme, schemeBasic):
		name, password, ok := r.BasicAuth()
		if !ok || len(name)+len(password) > maxSecret {
			return nil, l.failed(host, errWrongLogin)
		}
		return l.checkPassword(r, kept, [2]string{name, password}, host)
	}
	return nil, errNoLogin
}

// checkPassword tries a name and its password: at once where they were right a while ago, else by turns, since that is work.
func (l *Logins) checkPassword(r *http.Request, kept *credentials, login [2]string, host netip.Addr) (*Credential, error) {
	key := kept.key(login)
	if c := l.remembered(kept, key); c != nil {
		return c, nil
	}
	if err := l.mayTry(host); err != nil {
		return nil, err
	}
	done, err := l.turn(r)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := l.mayTry(host); err != nil { // others from there were wrong meanwhile
		return nil, err
	}
	c, hash := kept.byName[login[0]], kept.decoyFor(login[0])
	if c != nil {
		hash = c.Password
	}
	try := isPassword
	if l.try != nil {
		try = l.try
	}
	if right := try(hash, login[1]); !right || c == nil {
		return nil, l.failed(host, errWrongLogin)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == kept {
		l.remember(key, c)
	}
	l.failures.forget(host)
	return c, nil
}

// decoyFor is the hash that is tried for a name that is not known: always the same one, and nobody can tell which. Where some
// hashes take longer to try than others, names that are not known so do not differ from those that are.
func (c *credentials) decoyFor(name string) string {
	key := c.key([2]string{name, "decoy"})
	return c.decoys[binary.BigEndian.Uint64(key[:])%uint64(len(c.decoys))]
}

// Wrong tells how many credentials were wrong since the start.
func (l *Logins) Wrong() uint64 { return l.wrong.Load() }

// key is by what a password that was right is known again.
func (c *credentials) key(login [2]string) (key [sha256.Size]byte) {
	h := hmac.New(sha256.New, c.secret[:])
	name := sha256.Sum256([]byte(login[0]))
	h.Write(name[:])
	h.Write([]byte(login[1]))
	h.Sum(key[:0])
	return key
}

func (l *Logins) remembered(kept *credentials, key [sha256.Size]byte) *Credential {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, found := l.verified[key]
	if !found || l.kept != kept || l.now().After(v.until) {
		return nil
	}
	v.until = l.now().Add(verifiedFor)
	l.verified[key] = v
	return v.credential
}

func (l *Logins) remember(key [sha256.Size]byte, c *Credential) {
	if len(l.verified) >= maxVerified {
		clear(l.verified)
	}
	l.verified[key] = verified{c, l.now().Add(verifiedFor)}
}

// turn waits until a password may be tried: half of the processors do so at most. done is for when it is.
func (l *Logins) turn(r *http.Request) (done func(), err error) {
	l.working.Do(func() {
		l.work, l.waiting = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), make(chan struct{}, maxWaiting)
	})
	select {
	case l.waiting <- struct{}{}:
	default:
		return nil, errBusyLogin
	}
	defer func() { <-l.waiting }()
	patience := time.NewTimer(waitForTrying)
	defer patience.Stop()
	select {
	case l.work <- struct{}{}:
		return func() { <-l.work }, nil
	case <-patience.C:
	case <-r.Context().Done():
	}
	return nil, errBusyLogin
}

func (l *Logins) mayTry(host netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.failures.wait(host, l.now()); wait > 0 {
		return tooManyFailures{wait}
	}
	return nil
}

// failed counts a failure, says so in the log, and returns what is wrong.
func (l *Logins) failed(host netip.Addr, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong.Add(1)
	count, wait, tell := l.failures.add(host, l.now())
	if tell {
		l.log(slog.LevelWarn, "wrong credentials", "from", host.String(), "times", count, "next_try_in", wait.Round(time.Second).String())
	}
	return err
}

func (l *Logins) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

func (l *Logins) log(level slog.Level, text string, args ...any) {
	if l.Log != nil {
		l.Log.Log(context.Background(), level, text, args...)
	}
}

// Names returns the names in force, sorted.
func (l *Logins) Names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	if l.kept != nil {
		for name := range l.kept.byName {
			names = append(names, name)
		}
		for _, c := range l.kept.tokens {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
