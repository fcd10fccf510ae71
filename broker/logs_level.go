package broker

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
)

// logLevels are the levels of LOG_LEVEL, by Oracle's words.
var logLevels = map[string]slog.Level{
	"off": slog.LevelError, "user": slog.LevelInfo, "admin": slog.LevelDebug, "support": slog.LevelDebug,
}

// logLevelWord is the word that a value of LOG_LEVEL stands for, "" if there is none: numbers
// are as those of listeners (features.md 1.8), and old files have small ones.
func logLevelWord(value string) string {
	word := strings.ToLower(strings.TrimSpace(value))
	if _, known := logLevels[word]; known {
		return word
	}
	number, err := strconv.ParseUint(word, 10, 8)
	switch {
	case err != nil:
		return ""
	case number == 0:
		return "off"
	case number < 6:
		return "user"
	case number < 16:
		return "admin"
	}
	return "support"
}

// defaultLogLevel is the word of LOG_LEVEL where none is given.
const defaultLogLevel = "user"

// setLevel puts a word of LOG_LEVEL in force.
func (b *Broker) setLevel(word string) {
	if b.config.Verbose { // so says whoever started the broker
		word = "support"
	}
	b.logs.word.Store(&word)
	b.logs.level.Set(logLevels[word])
}

// levelWord is the word of LOG_LEVEL in force.
func (b *Broker) levelWord() string { return *b.logs.word.Load() }

// levelled lets through what a level that may change lets through.
type levelled struct {
	slog.Handler
	level *slog.LevelVar
}

// Enabled is for levels that both let through.
func (h *levelled) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level.Level() && h.Handler.Enabled(ctx, level)
}

// WithAttrs returns a handler that adds attributes to every record.
func (h *levelled) WithAttrs(attributes []slog.Attr) slog.Handler {
	return &levelled{h.Handler.WithAttrs(attributes), h.level}
}

// WithGroup returns a handler that puts further attributes into a group.
func (h *levelled) WithGroup(name string) slog.Handler {
	return &levelled{h.Handler.WithGroup(name), h.level}
}

// logTo makes what is logged go to standard output, or wherever the caller wants it, and to
// <instance>.log.
func (b *Broker) logTo(log *slog.Logger) {
	b.log = slog.New(slog.NewMultiHandler(&levelled{log.Handler(), &b.logs.level}, &instanceHandler{b: b}))
}
