// Package registration is the dialogue with databases: who may register, what
// they say, and what becomes of it in the service table.
//
// [Server] is the listener's side. It admits a registrant, reads its messages
// (package nsgr), folds them into one servicetable.Registration and hands that
// on; whatever ends the connection drops the registration. [Agent] is the
// database's side, for instances that cannot register by themselves and for
// test databases.
package registration
