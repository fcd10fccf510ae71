package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"time"

	"servicebroker/tns"
)

// serveBare accepts connections and answers each CONNECT with an ACCEPT, and does nothing
// else: what a connect costs at least. At a second address it does so over TLS.
func serveBare(ctx context.Context, listen string) error {
	plain, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	secure, err := tls.Listen("tcp", listen, &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	for _, l := range []net.Listener{plain, secure} {
		stop := context.AfterFunc(ctx, func() { l.Close() })
		defer stop()
	}
	fmt.Println("ready", plain.Addr(), secure.Addr())
	go acceptBare(secure) // ends with its listener
	acceptBare(plain)
	return nil
}

func acceptBare(l net.Listener) {
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		go answer(raw) // ends with the connection, which has a deadline
	}
}

func answer(raw net.Conn) {
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(time.Minute))
	conn := tns.NewConn(raw)
	connect, err := conn.ReadConnect()
	if err != nil || conn.Send(tns.AnswerConnect(connect, 318, nil)) != nil {
		return
	}
	var one [1]byte
	_, _ = raw.Read(one[:]) // until the client is gone
}

// selfSigned is a certificate of nobody.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"broker"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
