// Package dns keeps a zone of the domain name system equal to the table: it serves the zone itself, to clients and secondaries
// (Server), or writes it to a primary elsewhere (Updater). Both are destinations of a discovery.Mirror whose desire is Publish.
package dns
