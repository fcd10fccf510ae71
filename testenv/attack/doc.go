// Package attack does to a whole broker what strangers, registrants and instances could do to it that mean harm, or are
// broken: the catalogue of bad inputs, what scanners send, and inputs made up by the hundred thousand. All of it has to
// be refused or ended, in bounded time and memory, and counted.
package attack
