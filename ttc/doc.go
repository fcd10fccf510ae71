// Package ttc encodes and decodes the messages of Oracle's SQL-level protocol
// (Two-Task Common), as they travel in DATA packets between a thin driver and
// a database, in both directions: what one side decodes, the other side's
// encoder beside it produces.
//
// It does no I/O and knows no SQL. A Reader walks over a message and owns all
// bounds; it may be given a function that fetches the next piece, because only
// parsing tells where a request ends (ttc.md 3). Encoders append to a slice.
// What two sides agreed on in negotiation, and thereby the layout of nearly
// everything afterwards, is a Dialect.
package ttc
