package registration

import (
	"errors"

	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
)

// ErrNoInstance is a registration that names no instance.
var ErrNoInstance = errors.New("the registration names no instance")

// Change is what a message did to a registration.
type Change struct {
	Kind EventKind // Registered or Updated
}

// Fold returns previous as it is after message m.
func Fold(previous servicetable.Registration, m *nsgr.Message) (servicetable.Registration, Change, error) {
	return previous, Change{}, nil
}
