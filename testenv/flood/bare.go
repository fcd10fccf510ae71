package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"servicebroker/tns"
)

// serveBare accepts connections and answers each CONNECT with an ACCEPT, and does nothing
// else: what a connect costs at least.
func serveBare(ctx context.Context, listen string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	fmt.Println("ready", l.Addr())
	for {
		raw, err := l.Accept()
		if err != nil {
			return nil
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
