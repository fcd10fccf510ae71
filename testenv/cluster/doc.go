// Package cluster is rigs of brokers with databases, in which brokers are killed, started again and upgraded while clients
// connect and work. It has tests only; each has a short form, and a long one by flags.
package cluster
