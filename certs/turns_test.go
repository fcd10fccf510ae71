package certs

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
)

// A turn is held while there is something to work on, and never while a peer is waited for.
func TestHandshakeInTurns(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	entered, held := 0, 0
	c, free := InTurns(ours, func() error { entered++; held++; return nil }, func() { held-- })
	pair := newAuthority(t, "ca").host(t)
	certificate := tls.Certificate{Certificate: [][]byte{pair.cert.Raw}, PrivateKey: pair.key}
	done := make(chan error, 1)
	go func() {
		client := tls.Client(theirs, &tls.Config{InsecureSkipVerify: true})
		err := client.Handshake()
		if err == nil {
			_, err = client.Write([]byte("hello"))
		}
		done <- err
	}()
	server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true})
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if entered == 0 || held != 1 {
		t.Errorf("%d turns, %d held", entered, held)
	}
	free()
	if held != 0 {
		t.Errorf("%d held after the handshake", held)
	}
	before := entered
	var b [5]byte
	if n, err := server.Read(b[:]); err != nil || string(b[:n]) != "hello" || entered != before {
		t.Errorf("%q, %v, %d turns more", b[:n], err, entered-before)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ours.Close()
}

func TestNoTurnEndsTheHandshake(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	late := errors.New("late")
	c, free := InTurns(Replay(ours, []byte("he")), func() error { return late }, func() { t.Error("left without having entered") })
	go func() { _, _ = theirs.Write([]byte("llo")) }()
	var b [8]byte
	if n, err := c.Read(b[:]); err != nil || string(b[:n]) != "he" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if _, err := c.Read(b[:]); !errors.Is(err, late) {
		t.Errorf("%v", err)
	}
	free()
}
