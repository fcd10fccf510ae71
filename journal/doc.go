// Package journal keeps what happened and why, for a while: typed events, and the explanation of every connect. Both
// are bounded and can be searched. It knows nothing of how either comes about.
package journal
