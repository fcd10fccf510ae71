package broker

import (
	"encoding/json"
	"os"

	"servicebroker/peers"
)

// peersPart passes on which peers are alive, so that there are as many brokers for the successor from the first connect on, and no
// event tells of what has been so for long.
func (b *Broker) peersPart() part {
	return part{name: "peers", give: b.givePeers, take: b.takePeers}
}

func (b *Broker) givePeers() (any, []*os.File, error) { return b.peering.watcher.Pass(), nil, nil }

func (b *Broker) takePeers(state json.RawMessage, _ []*os.File) error {
	var given []peers.Passed
	if err := json.Unmarshal(state, &given); err != nil {
		return err
	}
	b.peering.watcher.GoOn(given)
	b.peering.alive.Store(int32(b.peering.watcher.Alive()))
	b.balance()
	return nil
}
