package descriptor

// EasyConnect turns Easy Connect Plus text into a DESCRIPTION.
func EasyConnect(text string) (*Node, error) { return nil, nil }

// ParseConnect reads what a user types to connect: a descriptor, or Easy Connect text.
func ParseConnect(text string) (*Node, error) { return nil, nil }
