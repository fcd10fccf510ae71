package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Hello is what the two ends tell each other first. A later version may add to it.
type Hello struct {
	Program    string `json:"program"`    // both have to be the same one
	Version    string `json:"version"`    // of the program, for people
	Generation int    `json:"generation"` // 1 for one without predecessor; 0: the successor learns it from its predecessor
	PID        int    `json:"pid"`
	// Started is when the process was; nil: it does not say.
	Started *time.Time `json:"started,omitempty"`
	Oldest  int        `json:"oldest"` // of the formats of records that this end understands
	Newest  int        `json:"newest"`
}

// ErrNoCommonFormat says that the generations are too far apart.
var ErrNoCommonFormat = errors.New("the two versions have no format in common")

const kindHello = "hello"

// Greet sends mine, and returns the other end's and the newest format that both understand.
func (c *Channel) Greet(ctx context.Context, mine Hello) (theirs Hello, format int, err error) {
	sent := c.Send(ctx, kindHello, mine)
	if sent != nil && !errors.Is(sent, ErrOver) {
		return theirs, 0, sent
	}
	r, err := c.Receive(ctx) // what the other end said before it went tells more than that it is gone
	if err != nil {
		return theirs, 0, err
	}
	defer r.closeFiles()
	if r.Kind != kindHello {
		return theirs, 0, fmt.Errorf("%w: it begins with %q instead of %q", ErrDamaged, r.Kind, kindHello)
	}
	if err := json.Unmarshal(r.Body, &theirs); err != nil {
		return theirs, 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	format = min(mine.Newest, theirs.Newest)
	switch {
	case theirs.Program != mine.Program:
		return theirs, 0, fmt.Errorf("the other end is no %s but %q", mine.Program, theirs.Program)
	case format < max(mine.Oldest, theirs.Oldest):
		return theirs, 0, fmt.Errorf("%w: %s understands %d to %d, %s %d to %d: upgrade by way of a version in between, or restart",
			ErrNoCommonFormat, mine.Version, mine.Oldest, mine.Newest, theirs.Version, theirs.Oldest, theirs.Newest)
	}
	return theirs, format, sent
}
