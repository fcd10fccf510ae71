//go:build nextformat && !onlynextformat

package broker

const oldestFormat = 1
