package broker

import (
	"bytes"
	"strings"

	"servicebroker/descriptor"
)

// noSuchCommand stands for what cannot be a command though it says it is one. It has a
// character that no word of a client keeps.
const noSuchCommand = "\x00"

// commandOf returns the COMMAND of connect data; empty for a database connect, also for one
// that cannot be parsed, which the relay refuses with the reason.
//
// Whatever has a COMMAND anywhere is no database connect: an instance's listener, to which
// it would be carried, may read it otherwise than the broker does, and would take the broker
// for the administrator. A command that stands elsewhere than it belongs, is there twice, or
// is empty, is none that anybody knows.
func commandOf(data []byte) string {
	if !containsFold(data, "command") && bytes.IndexByte(data, '\\') < 0 {
		return ""
	}
	asked, err := descriptor.Parse(string(data))
	if err != nil {
		return ""
	}
	count := commands(asked)
	command := descriptor.ConnectData(asked).Child("COMMAND")
	switch {
	case count == 0:
		return ""
	case count > 1, command == nil, command.Value == "":
		return noSuchCommand
	}
	return command.Value
}

// commands counts the nodes called COMMAND.
func commands(n *descriptor.Node) int {
	count := 0
	if strings.EqualFold(strings.TrimSpace(n.Name), "COMMAND") {
		count++
	}
	for _, child := range n.Children {
		count += commands(child)
	}
	return count
}

// containsFold searches for a lower-case word without regard to ASCII case.
func containsFold(data []byte, word string) bool {
	for i := 0; i+len(word) <= len(data); i++ {
		if data[i]|0x20 == word[0] && strings.EqualFold(string(data[i:i+len(word)]), word) {
			return true
		}
	}
	return false
}
