package nsgr

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func collect(c *Collector, payloads ...[]byte) (messages [][]byte) {
	for _, p := range payloads {
		c.Add(p)
		for {
			m, ok := c.Next()
			if !ok {
				break
			}
			messages = append(messages, bytes.Clone(m))
		}
	}
	return messages
}

func TestCollectorTakesAnySplit(t *testing.T) {
	var stream []byte
	var want [][]byte
	for _, m := range vectors(t) {
		stream = append(stream, m...)
		want = append(want, m)
	}
	rapid.Check(t, func(t *rapid.T) {
		var c Collector
		var payloads [][]byte
		for rest := stream; len(rest) > 0; {
			n := rapid.IntRange(0, len(rest)).Draw(t, "payload")
			payloads, rest = append(payloads, rest[:n]), rest[n:]
		}
		var got [][]byte
		for _, p := range payloads {
			if got = append(got, collect(&c, p)...); rapid.Bool().Draw(t, "another goes on") {
				unread := c.Unread()
				c = Collector{}
				c.Add(unread)
			}
		}
		checkMessages(t, got, want)
		if c.Pending() != 0 {
			t.Errorf("%d bytes are left", c.Pending())
		}
	})
	var c Collector
	for i := range stream {
		c.Add(stream[i : i+1])
	}
	checkMessages(t, collect(&c, nil), want)
}

func TestCollectorTakesSingleBytes(t *testing.T) {
	message := vector(t, "sid_4")
	var c Collector
	for i := range message {
		got := collect(&c, message[i:i+1])
		if last := i == len(message)-1; (len(got) == 1) != last {
			t.Fatalf("%d messages after %d of %d bytes", len(got), i+1, len(message))
		}
		if c.Pending() != (i+1)%len(message) {
			t.Fatalf("%d bytes pending after %d", c.Pending(), i+1)
		}
	}
}

func checkMessages(t interface{ Errorf(string, ...any) }, got, want [][]byte) {
	if len(got) != len(want) {
		t.Errorf("%d messages, want %d", len(got), len(want))
		return
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("message %d is %x", i, got[i])
		}
	}
}

func TestCollectorPassesOnWhatCannotStartAMessage(t *testing.T) {
	message := vector(t, "sid_4")
	for _, garbage := range [][]byte{
		{0, 0, 0, 0},
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		{0xde, 0xad, 0xbe, 0xef, 1, 2, 3},
		{0, 0, 0, 0x3f},
		{0, 0x40, 0, 1},
	} {
		var c Collector
		got := collect(&c, garbage, message, append(bytes.Clone(message), garbage...), message)
		checkMessages(t, got, [][]byte{garbage, message, message, garbage, message})
		if _, err := Decode(garbage, Representation{}); err == nil {
			t.Errorf("%x is taken for a message", garbage)
		}
	}
}

func TestCollectorGivesBackMemory(t *testing.T) {
	var c Collector
	big := make([]byte, MaxMessage)
	copy(big, []byte{0, 0x40, 0, 0})
	if got := collect(&c, big); len(got) != 1 || len(got[0]) != MaxMessage {
		t.Fatalf("%d messages", len(got))
	}
	c.Add([]byte{0})
	if cap(c.buf) > keepBuffer {
		t.Errorf("keeps %d bytes for one", cap(c.buf))
	}
}
