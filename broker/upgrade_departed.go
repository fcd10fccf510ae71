package broker

import (
	"encoding/json"
	"os"
	"time"
)

// departedPart passes on what left lately, so that connects for it wait in the successor as well, for no longer than here.
func (b *Broker) departedPart() part {
	return part{name: "departed", give: b.giveDeparted, take: b.takeDeparted}
}

type departedPassed struct {
	Departed []warmEntry `json:"departed"`
}

func (b *Broker) giveDeparted() (any, []*os.File, error) {
	b.departed.mu.Lock()
	defer b.departed.mu.Unlock()
	var given departedPassed
	for _, d := range b.departed.all {
		given.Departed = append(given.Departed, warmEntry{Registration: *d.registration, Heard: d.at})
	}
	return given, nil, nil
}

func (b *Broker) takeDeparted(state json.RawMessage, _ []*os.File) error {
	var given departedPassed
	if err := json.Unmarshal(state, &given); err != nil {
		return err
	}
	b.recall(given.Departed, time.Now())
	return nil
}
