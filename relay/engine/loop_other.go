//go:build !linux

package engine

import (
	"os"
	"sync"
)

// Loops carries sessions without a goroutine each where the system has the means; here it
// has not.
type Loops struct{ wg sync.WaitGroup }

// Close waits until all sessions are over. Nothing may be started any more.
func (p *Loops) Close() { p.wg.Wait() }

func (*Loops) take(*Link, Owner) error { return ErrNotMovable }

type carried struct{}

func (*carried) interrupt()                       {}
func (*carried) retry()                           {}
func (*carried) endHalf(Direction)                {}
func (*carried) shut(bool)                        {}
func (*carried) files() (client, server *os.File) { return nil, nil }
