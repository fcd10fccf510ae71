// Package discovery keeps copies of the table elsewhere equal to it: a Mirror follows snapshots and brings one Destination up to
// date, by itself and for as long as it takes. What is copied starts from Offers, which every destination shares.
package discovery
