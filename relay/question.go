package relay

import (
	"errors"
	"strconv"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// What can be wrong with a descriptor that parses.
var (
	errNoConnectData = errors.New("descriptor has no CONNECT_DATA")
	errNoServiceName = errors.New("CONNECT_DATA names neither SERVICE_NAME nor SID")
)

// readAsked reads a client's descriptor. CONNECT_DATA alone goes on with a DESCRIPTION around it: what nobody could read
// then is refused here, and not by whoever is asked next.
func readAsked(text string) (*descriptor.Node, error) {
	asked, err := descriptor.Parse(text)
	if err == nil && strings.EqualFold(asked.Name, "CONNECT_DATA") {
		err = descriptor.RoomAround(asked)
	}
	return asked, err
}

// question reads from a client's descriptor what it asks for (tns.md 8).
func question(asked *descriptor.Node) (servicetable.Query, error) {
	data := descriptor.ConnectData(asked)
	if data == nil {
		return servicetable.Query{}, errNoConnectData
	}
	word := func(name string) string { return strings.Clone(data.Text(name)) } // which may be kept longer than the descriptor
	q := servicetable.Query{
		Service:       word("SERVICE_NAME"),
		SID:           word("SID"),
		Instance:      word("INSTANCE_NAME"),
		Server:        word("SERVER"),
		ColocationTag: word("COLOCATION_TAG"),
		IgnoreStatus:  strings.EqualFold(data.Text("UR"), "A"),
	}
	if q.Service == "" && q.SID == "" {
		return q, errNoServiceName
	}
	return q, nil
}

// retarget returns the client's descriptor rewritten so that whoever receives it
// can only choose candidate c: the service by the name it is registered under
// there, the instance named. A client that gave only a SID keeps it alone,
// since SID decides where it is present (tns.md 14, "Redirecting").
func retarget(d *dialogue, c servicetable.Candidate) *descriptor.Node {
	description, data := descriptionOf(d.asked)
	asks := d.query
	if asks.Service != "" && !strings.EqualFold(asks.Service, c.Service.Name) {
		asks.Service = c.Service.Name
	}
	askFor(data, asks)
	if asks.Service != "" {
		if data.Remove("INSTANCE_NAME"); c.Registration.Instance != "" && !c.Registration.Forwards(c.Handler) { // what is behind a forwarding handler has another one; of some static services none is known
			data.Add(&descriptor.Node{Name: "INSTANCE_NAME", Value: c.Registration.Instance})
		}
	}
	return description
}

// askFor leaves but one name in connect data, that which rules have judged, whether the client
// wrote it, it is there by default, or was a SID: whoever receives several may take another one.
func askFor(data *descriptor.Node, q servicetable.Query) {
	for _, one := range []struct{ name, value string }{{"SERVICE_NAME", q.Service}, {"SID", q.SID}} {
		if one.value == "" || one.name == "SID" && q.Service != "" {
			data.Remove(one.name)
		} else {
			data.Put(one.name, one.value)
		}
	}
}

// withAddress puts an address in front of a description that has none.
func withAddress(description *descriptor.Node, a descriptor.Address) *descriptor.Node {
	address := &descriptor.Node{Name: "ADDRESS"}
	address.Set("PROTOCOL", a.Protocol)
	address.Set("HOST", a.Host)
	address.Set("PORT", strconv.Itoa(a.Port))
	description.Children = append([]*descriptor.Node{address}, description.Children...)
	return description
}

// descriptionOf returns a DESCRIPTION around a copy of the connect data that was
// judged, whatever root the client sent: DESCRIPTION_LIST, DESCRIPTION or
// CONNECT_DATA. The client's route and any further connect data stay behind.
// It shares what is below with asked: only the children of the two that are returned may be
// changed, and not what they are.
func descriptionOf(asked *descriptor.Node) (description, data *descriptor.Node) {
	judged := descriptor.ConnectData(asked)
	description = &descriptor.Node{Name: "DESCRIPTION"}
	if parent := parentOf(asked, judged); parent != nil {
		for _, child := range parent.Children {
			switch strings.ToUpper(child.Name) {
			case "CONNECT_DATA", "ADDRESS", "ADDRESS_LIST", "SOURCE_ROUTE", "DESCRIPTION", "DESCRIPTION_LIST":
			default:
				if len(descriptor.Addresses(child)) == 0 { // whoever reads it could take one for the client's route
					description.Add(child)
				}
			}
		}
	}
	data = &descriptor.Node{Name: judged.Name, Value: judged.Value}
	data.Children = append(make([]*descriptor.Node, 0, len(judged.Children)+spareNames), judged.Children...)
	description.Add(data)
	return description, data
}

// spareNames is how many names askFor and retarget may add.
const spareNames = 2

// parentOf finds the node of which child is a child; nil if there is none.
func parentOf(n, child *descriptor.Node) *descriptor.Node {
	for _, c := range n.Children {
		if c == child {
			return n
		}
		if p := parentOf(c, child); p != nil {
			return p
		}
	}
	return nil
}
