package descriptor

// ConnectData returns the CONNECT_DATA under whatever root, nil if none.
func ConnectData(n *Node) *Node { return nil }

// SourceRoute reports whether SOURCE_ROUTE is on.
func SourceRoute(n *Node) bool { return false }

// Truth reads on/off, yes/no, true/false, 1/0 in any case.
func Truth(value string) (on, known bool) { return false, false }
