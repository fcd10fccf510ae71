//go:build onlynextformat

package broker

const oldestFormat = 2
