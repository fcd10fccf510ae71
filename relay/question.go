package relay

import (
	"errors"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// What can be wrong with a descriptor that parses.
var (
	errNoConnectData = errors.New("descriptor has no CONNECT_DATA")
	errNoServiceName = errors.New("CONNECT_DATA names neither SERVICE_NAME nor SID")
)

// question reads from a client's descriptor what it asks for (tns.md 8).
func question(asked *descriptor.Node) (servicetable.Query, error) {
	data := descriptor.ConnectData(asked)
	if data == nil {
		return servicetable.Query{}, errNoConnectData
	}
	q := servicetable.Query{
		Service:       data.Text("SERVICE_NAME"),
		SID:           data.Text("SID"),
		Instance:      data.Text("INSTANCE_NAME"),
		Server:        data.Text("SERVER"),
		ColocationTag: data.Text("COLOCATION_TAG"),
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
func retarget(asked *descriptor.Node, c servicetable.Candidate) *descriptor.Node {
	description := descriptionOf(asked)
	data := description.Child("CONNECT_DATA")
	if data.Text("SERVICE_NAME") != "" {
		if !strings.EqualFold(data.Text("SERVICE_NAME"), c.Service.Name) {
			data.Set("SERVICE_NAME", c.Service.Name)
		}
		data.Set("INSTANCE_NAME", c.Registration.Instance)
	}
	for _, route := range []string{"ADDRESS", "ADDRESS_LIST", "SOURCE_ROUTE"} {
		for description.Child(route) != nil {
			description.Remove(route)
		}
	}
	return description
}

// withAddress puts an address in front of a description that has none.
func withAddress(description *descriptor.Node, a descriptor.Address) *descriptor.Node {
	address := &descriptor.Node{Name: "ADDRESS"}
	address.Set("PROTOCOL", a.Protocol)
	address.Set("HOST", a.Host)
	address.Set("PORT", itoa(a.Port))
	description.Children = append([]*descriptor.Node{address}, description.Children...)
	return description
}

// descriptionOf returns a copy of the DESCRIPTION that holds the connect data,
// whatever root the client sent: DESCRIPTION_LIST, DESCRIPTION or CONNECT_DATA.
func descriptionOf(asked *descriptor.Node) *descriptor.Node {
	switch {
	case strings.EqualFold(asked.Name, "CONNECT_DATA"):
		return &descriptor.Node{Name: "DESCRIPTION", Children: []*descriptor.Node{asked.Clone()}}
	case asked.Child("CONNECT_DATA") != nil:
		return asked.Clone()
	}
	for _, child := range asked.Children {
		if descriptor.ConnectData(child) != nil {
			return descriptionOf(child)
		}
	}
	return asked.Clone()
}
