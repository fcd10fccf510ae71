package descriptor

// Address says where a listener or handler can be reached.
type Address struct {
	Protocol string // as written, "TCP" where the text has none
	Host     string // without blanks around it and without brackets; empty for a local protocol
	Port     int    // 0 for a local protocol
	Key      string // of PROTOCOL=IPC
}

// ParseAddress reads (ADDRESS=…) or the first ADDRESS of a descriptor.
func ParseAddress(text string) (Address, error) { return Address{}, nil }

// Address reads n, or the first ADDRESS under it.
func (n *Node) Address() (Address, error) { return Address{}, nil }

// Addresses returns every ADDRESS under n, in order.
func Addresses(n *Node) []*Node { return nil }

// String prints (ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=1521)).
func (a Address) String() string { return "" }

// HostPort is the form net.Dial takes.
func (a Address) HostPort() string { return "" }
