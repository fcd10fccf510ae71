package broker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/logfile"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/tns"
)

// logs are the files of LOG_DIRECTORY and the level of all that is logged.
type logs struct {
	level slog.LevelVar
	word  atomic.Pointer[string]   // of LOG_LEVEL, for level
	files atomic.Pointer[logFiles] // nil: there are none

	mu      sync.Mutex // one change at a time
	repeats repeats    // of lines of listener.log
	running bool
	over    bool
	writers sync.WaitGroup
}

// logFiles are those of one folder.
type logFiles struct {
	directory string
	listener  logfile.File
	instance  logfile.File
	stop      context.CancelFunc // nil until they run
}

// listenerLogName is where listener.log is.
const listenerLogName = "listener.log"

// logCheckTime bounds how long a start waits for the folder of the logs.
const logCheckTime = 2 * time.Second

// instanceLogName is the file of an instance, which is no other than listener.log.
func instanceLogName(instance string) string {
	name := strings.Map(func(r rune) rune {
		if r == os.PathSeparator || r < ' ' {
			return '_'
		}
		return r
	}, instance) + ".log"
	if strings.EqualFold(name, listenerLogName) {
		return "listener_instance.log"
	}
	return name
}

// configureLogs puts in force what a configuration says of logs.
func (b *Broker) configureLogs(c *Config) {
	b.logs.mu.Lock()
	defer b.logs.mu.Unlock()
	b.setLevel(c.LogLevel)
	old := b.logs.files.Load()
	switch {
	case b.logs.over:
	case old != nil && old.directory == c.LogDirectory:
		old.configure(c)
		old.listener.Reopen()
		old.instance.Reopen()
		return
	case c.LogDirectory != "":
		files := b.newLogFiles(c)
		b.logs.files.Store(files)
		if b.logs.running {
			b.logs.run(files)
			b.logListening("Listening on", files)
		}
	default:
		b.logs.files.Store(nil)
	}
	if old != nil && old.stop != nil {
		old.stop()
	}
}

// newLogFiles prepares the files of a folder, and says so if they cannot be written now.
func (b *Broker) newLogFiles(c *Config) *logFiles {
	if err := logfile.Check(c.LogDirectory, logCheckTime); err != nil {
		b.log.Warn("LOG_DIRECTORY cannot be written, lines wait until it can", "cause", err.Error())
	}
	files := &logFiles{directory: c.LogDirectory}
	files.listener = logfile.File{
		Path: filepath.Join(c.LogDirectory, listenerLogName),
		Head: func(time.Time) string {
			return "TIMESTAMP * CONNECT DATA [* PROTOCOL INFO] * EVENT [* SID] * RETURN CODE"
		},
		Lost:   func(n uint64, now time.Time) string { return fmt.Sprintf("%s: %d lines lost", listenerTime(now), n) },
		Failed: b.logFileFailed(listenerLogName),
	}
	name := instanceLogName(c.Name)
	files.instance = logfile.File{
		Path: filepath.Join(c.LogDirectory, name),
		Lost: func(n uint64, now time.Time) string {
			return logRecord(now, "lines lost", recordField{"LINES", fmt.Sprint(n)})
		},
		Failed: b.logFileFailed(name),
	}
	files.configure(c)
	return files
}

// configure puts size and number of the files in force.
func (f *logFiles) configure(c *Config) {
	settings := logfile.Settings{MaxSize: c.LogFileSize, Keep: max(c.LogFileNum-1, 0)}
	f.listener.Configure(settings)
	f.instance.Configure(settings)
}

// logFileFailed tells of a file that cannot be written.
func (b *Broker) logFileFailed(name string) func(error) {
	return func(err error) {
		if err != nil {
			b.log.Error("log file cannot be written for the moment", "file", name, "cause", err.Error(), "remedy", "see that the volume has room and the broker's user may write there")
			return
		}
		b.log.Info("log file is written again", "file", name)
	}
}

// run begins to write files; l.mu is held.
func (l *logs) run(files *logFiles) {
	ctx, stop := context.WithCancel(context.Background())
	files.stop = stop
	l.writers.Go(func() { files.listener.Run(ctx) })
	l.writers.Go(func() { files.instance.Run(ctx) })
}

// beginLogs lets the files be written from now on.
func (b *Broker) beginLogs() {
	b.logs.mu.Lock()
	defer b.logs.mu.Unlock()
	b.logs.running = true
	if files := b.logs.files.Load(); files != nil {
		b.logs.run(files)
	}
}

// logStarted writes down that this process serves from now on.
func (b *Broker) logStarted() {
	files := b.logs.files.Load()
	if files == nil {
		return
	}
	files.listener.Line(fmt.Sprintf("%s\n%s\nStarted with pid=%d", time.Now().Format("2006-01-02T15:04:05.000000-07:00"), b.banner(), os.Getpid()))
	b.logListening("Listening on", files)
}

// endLogs writes what is left, within the time that files grant the disk.
func (b *Broker) endLogs() {
	b.logs.mu.Lock()
	b.logs.over = true
	files := b.logs.files.Load()
	if files != nil && files.stop != nil {
		files.stop()
	}
	b.logs.mu.Unlock()
	b.logs.writers.Wait()
}

// logListening writes down each address that is listened on, or no longer.
func (b *Broker) logListening(what string, files *logFiles) {
	if files == nil {
		return
	}
	for _, at := range b.endpoints() {
		files.listener.Line(fmt.Sprintf("%s: (DESCRIPTION=%s)", what, at))
	}
}

// listenerLog writes one entry of listener.log, which is made only if there is one.
func (b *Broker) listenerLog(entry func() string) {
	files := b.logs.files.Load()
	if files == nil {
		return
	}
	if text := entry(); text != "" {
		files.listener.Line(text)
	}
}

// logConnect writes down what became of a connect. Refused commands have their own entry.
func (b *Broker) logConnect(r *relay.ConnectReport) {
	if r.Repeated { // the first of its kind is there, and how many follow is logged
		return
	}
	if code := tns.Code(r.Explanation.Code); r.Asked == nil && (code == tns.CodeAdminRefused || code == tns.CodeUnknownCommand) {
		return
	}
	b.listenerLog(func() string { return listenerConnect(r) })
	b.logEstablished(r)
}

// listenerRepeat is listenerLog for a line that may come again and again.
func (b *Broker) listenerRepeat(what string, entry func() string) {
	if b.logs.files.Load() == nil {
		return
	}
	note, write := b.logs.repeats.pass(what, time.Now(), b.settings().config.LogRepeats)
	if note != "" {
		b.listenerLog(func() string { return note })
	}
	if write {
		b.listenerLog(entry)
	}
}

func (b *Broker) logRegistration(e registration.Event) {
	if e.Kind == registration.Updated {
		b.listenerRepeat("service_update"+fieldSeparator+logField(e.Registration.Instance, maxLogName), func() string { return listenerRegistration(time.Now(), e) })
		return
	}
	b.listenerLog(func() string { return listenerRegistration(time.Now(), e) })
}

func (b *Broker) logCommand(connect *tns.Connect, command string, code tns.Code) {
	if command == "ping" {
		b.listenerRepeat(command, func() string { return listenerCommand(time.Now(), connect, command, code) })
		return
	}
	b.listenerLog(func() string { return listenerCommand(time.Now(), connect, command, code) })
}
