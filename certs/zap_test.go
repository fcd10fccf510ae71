package certs

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestZapToSlog(t *testing.T) {
	var text bytes.Buffer
	logger := zapTo(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	logger.Named("obtain").With(zap.String("identifier", "db1")).Info("obtained", zap.Int("n", 3), zap.Strings("names", []string{"a", "b"}), zap.Error(errors.New("no")))
	logger.Debug("not shown")
	logger.Warn("w")
	logger.Error("e")
	want := `level=INFO msg=obtained component=acme identifier=db1 n=3 names="[a b]" error=no logger=obtain
level=WARN msg=w component=acme
level=ERROR msg=e component=acme
`
	if got := text.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Without a log it is silent, and whatever is worse than an error is told as one.
func TestZapWithoutLog(t *testing.T) {
	zapTo(nil).Error("nobody hears")
	var text bytes.Buffer
	zapTo(slog.New(slog.NewTextHandler(&text, nil))).DPanic("odd")
	if !strings.Contains(text.String(), "level=ERROR msg=odd") {
		t.Error(text.String())
	}
}
