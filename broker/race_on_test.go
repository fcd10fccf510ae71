//go:build race

package broker

// stackFactor is how much larger stacks are than in a program without the race detector.
const stackFactor = 2
