package relay

import (
	"fmt"

	"servicebroker/servicetable"
)

// guessed ends the connect of a client that tries names until one is right, as if nobody had what it asks for: a right name is
// told from a wrong one neither by the answer nor by how long that takes.
func (s *Server) guessed(d *dialogue) error {
	if s.Guesses == nil || d.way != nil || !s.Guesses(d.client.Addr(), d.query) {
		return nil
	}
	d.guess = true
	unknown := servicetable.ErrUnknownService
	switch {
	case d.query.Instance != "":
		unknown = servicetable.ErrUnknownInstance
	case d.query.Service == "":
		unknown = servicetable.ErrUnknownSID
	}
	return fmt.Errorf("%w, or the client is not told: it asked for more names that nobody has than GUESS_LIMIT allows", unknown)
}
