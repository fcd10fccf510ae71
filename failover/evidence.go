package failover

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// evidence is what an attempt to connect shows of the handler.
type evidence uint8

const (
	noEvidence   evidence = iota
	seenAlive             // it answered
	seenDead              // nobody listens there, or it cannot be reached
	seenSilent            // no connection could be had in time
	seenDoubtful          // something went wrong that a probe has to tell more of
)

// evidenceOf judges an attempt by how it ended.
func evidenceOf(a Attempt) evidence {
	var network net.Error
	var name *net.DNSError
	_, said := answerOf(a.Err)
	switch {
	case a.Err == nil:
		return seenAlive
	case a.Stopped, lackedHere(a.Err):
		return noEvidence
	case a.Hedged, errors.As(a.Err, &name):
		return seenDoubtful
	case a.Committed && a.Answered:
		return seenAlive
	case a.Committed: // what broke may be elsewhere, where the instance sent us
		return seenDoubtful
	case unreachable(a.Err), errors.Is(a.Err, syscall.ECONNRESET):
		return seenDead
	case errors.Is(a.Err, ErrNoAnswer), errors.As(a.Err, &network) && network.Timeout():
		return seenSilent
	case said && !connectFailed(a.Err):
		return noEvidence // it was not even tried: an address of our own, say
	}
	return seenDoubtful
}

// unreachable reports whether err is the network's word that there is nobody.
func unreachable(err error) bool {
	for _, code := range [...]syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// isOurs reports whether err is of this host alone and says nothing about whom it wanted to reach: it has no network yet,
// nobody who knows names, or no room for a connection.
func isOurs(err error) bool {
	var name *net.DNSError
	if errors.As(err, &name) {
		return !name.IsNotFound
	}
	return lackedHere(err) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.ENETDOWN)
}

// lackedHere reports whether err says that this host had no port, descriptor or memory left for a connection.
func lackedHere(err error) bool {
	for _, code := range [...]syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// isAnswer reports whether a light probe that ended with err found somebody.
func isAnswer(err error) bool {
	if err == nil {
		return true
	}
	_, answered := answerOf(err)
	return answered && !connectFailed(err) && !unreachable(err) && !timedOut(err)
}

// isBroken reports whether err is that of a network or a clock, not somebody's word.
func isBroken(err error) bool {
	var network net.Error // names that cannot be resolved, too
	var code syscall.Errno
	return connectFailed(err) || timedOut(err) || errors.As(err, &network) || errors.As(err, &code) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

func timedOut(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
