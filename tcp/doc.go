// Package tcp holds TCP connections that take few calls of the system: what can be done at once is done at once, and
// only who has to wait enters Go's poller. A connect whose packets are there when somebody looks for them never does.
//
// Where the system is not Linux, these are the connections of package net.
package tcp
