// Package consul keeps a Consul catalogue equal to the table (Catalogue), makes this broker known there and decides which of several
// writes (Member), and brings back what operators said there: maintenance (Watch) and intents (Intents). Nothing that Consul does or
// fails to do is an error for anyone but these.
package consul
