// Package tns is Oracle Net's transport: its packets in both directions, one file
// a packet, their framing on a connection, and the table of error codes.
//
// Decode and AppendTo of a packet stand side by side, so that a listener, a relay,
// an agent and a scripted peer in a test all run the same code. Decoders do no I/O,
// believe no length and never panic; Conn does all reading and writing.
package tns
