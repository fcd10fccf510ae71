package certs

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo is a logger for certmagic that writes to log; nil: silent. What certmagic calls
// information is detail to us.
func zapTo(log *slog.Logger) *zap.Logger {
	if log == nil {
		return zap.NewNop()
	}
	return zap.New(&bridge{log: log.With("component", "acme")})
}

// bridge is a zap core over slog.
type bridge struct{ log *slog.Logger }

func slogLevel(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelError
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// Enabled asks slog's handler.
func (b *bridge) Enabled(l zapcore.Level) bool {
	return b.log.Enabled(context.Background(), slogLevel(l))
}

// With adds fields to all that follows.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{b.log.With(attributes(fields)...)}
}

// Check adds this core to those that will write e.
func (b *bridge) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return checked.AddCore(e, b)
	}
	return checked
}

// Write hands one entry over.
func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	args := attributes(fields)
	if e.LoggerName != "" {
		args = append(args, "logger", e.LoggerName)
	}
	b.log.Log(context.Background(), slogLevel(e.Level), e.Message, args...)
	return nil
}

// Sync has nothing to do: slog keeps nothing back.
func (b *bridge) Sync() error { return nil }

// attributes turns fields into what slog takes, in their order.
func attributes(fields []zapcore.Field) []any {
	var args []any
	for _, f := range fields {
		encoder := zapcore.NewMapObjectEncoder()
		f.AddTo(encoder)
		for _, key := range slices.Sorted(maps.Keys(encoder.Fields)) { // an error may give two
			args = append(args, slog.Any(key, encoder.Fields[key]))
		}
	}
	return args
}
