package certs

import (
	"testing"

	"go.uber.org/goleak"
)

// certmagic keeps a rate limiter for each authority as long as the process lasts, and
// notices only after seconds that a lock is no longer held.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}
