// Package cluster is rigs of several brokers with several databases, in which brokers are killed and started again while
// clients connect by lists of addresses. It has tests only; each has a short form, and a long one by flags.
package cluster
