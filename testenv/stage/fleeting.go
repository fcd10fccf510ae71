package stage

import (
	"fmt"

	"servicebroker/registration"
	"servicebroker/servicetable"
)

// Fleeting is an instance that nobody can connect to, with so many services, which says how loaded it is.
func Fleeting(name string, services, load int) servicetable.Registration {
	r := servicetable.Registration{Instance: name, Host: "127.0.0.1", HostRaw: "(HOST=127.0.0.1)", NodeMax: 100, Max: 100, Load: uint32(load)}
	h := servicetable.Handler{Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: "TCP", Host: "127.0.0.1", Port: 1, Max: 100, Flags: registration.FlagDedicated,
		Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=1))", Info: "REMOTE SERVER"}
	for i := range services {
		r.Services = append(r.Services, servicetable.Service{Name: fmt.Sprint(name, "_", i), Flags: servicetable.FlagUnblocked, Delta: 1})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	return r
}
